// `outrigger/request-class`, an extension of ours: gives each request the class by which overload sheds it
// (`x-request-class`), by the path where the client says none, or none that counts. It uses nothing but the interface
// that everybody's extensions have, and goes through the same loader, fence and schema.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { ExtensionEnv, ExtensionExchange, ExtensionSteps } from '../plan/extension.ts';

export const apiVersion = 'outrigger.dev/extension/v1';
export const name = 'outrigger/request-class';

const CLASS = { type: 'string', pattern: '^[A-Za-z0-9_-]{1,32}$' };

export const configSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['default'],
  properties: {
    header: { type: 'string', minLength: 1, maxLength: 128, description: 'x-request-class by default' },
    default: CLASS,
    paths: {
      type: 'array',
      maxItems: 256,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['prefix', 'class'],
        properties: { prefix: { type: 'string', pattern: '^/' }, class: CLASS },
      },
    },
    allowed: {
      type: 'array',
      maxItems: 32,
      items: CLASS,
      description: 'classes that clients may name; none by default',
    },
  },
};

interface PathClass {
  readonly prefix: string;
  readonly className: string;
}

export function compile(config: JsonObject, env: ExtensionEnv): ExtensionSteps {
  const header = env.header(textOf(config['header']) || 'x-request-class');
  const otherwise = textOf(config['default']);
  const allowed = new Set(Array.isArray(config['allowed']) ? config['allowed'].map(textOf) : []);
  const paths = Array.isArray(config['paths']) ? config['paths'].map(pathClassOf) : [];
  // The longest prefix wins, whatever the order they are written in.
  const sorted = paths.toSorted((left, right) => right.prefix.length - left.prefix.length);
  return {
    onRequest(exchange: ExtensionExchange) {
      const given = exchange.request.joined(header);
      if (given !== null && allowed.has(given)) return;
      exchange.request.set(
        header,
        sorted.find(({ prefix }) => exchange.path.startsWith(prefix))?.className ?? otherwise,
      );
    },
  };
}

function pathClassOf(given: JsonValue): PathClass {
  const isEntry = typeof given === 'object' && given !== null && !Array.isArray(given);
  return { prefix: textOf(isEntry ? given['prefix'] : ''), className: textOf(isEntry ? given['class'] : '') };
}

function textOf(given: JsonValue | undefined): string {
  return typeof given === 'string' ? given : '';
}
