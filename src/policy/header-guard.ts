// `outrigger/header-guard`, an extension of ours: refuses requests that have fields which they must not have, or lack
// one that they must have, and takes fields off responses. It uses nothing but the interface that everybody's
// extensions have, and goes through the same loader, fence and schema.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { ExtensionEnv, ExtensionExchange, ExtensionSteps, HeaderName } from '../plan/extension.ts';

export const apiVersion = 'outrigger.dev/extension/v1';
export const name = 'outrigger/header-guard';

const NAMES = { type: 'array', maxItems: 64, items: { type: 'string', minLength: 1, maxLength: 128 } };

export const configSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  properties: {
    forbid: { ...NAMES, description: 'request fields that must not be there: 403' },
    require: { ...NAMES, description: 'request fields that must be there, with a value: 400' },
    hide: { ...NAMES, description: 'response fields that nobody gets to see' },
  },
};

export function compile(config: JsonObject, env: ExtensionEnv): ExtensionSteps | null {
  const namesOf = (given: JsonValue | undefined): readonly HeaderName[] =>
    Array.isArray(given) ? given.map((each) => env.header(typeof each === 'string' ? each : '')) : [];
  const forbidden = namesOf(config['forbid']);
  const required = namesOf(config['require']);
  const hidden = namesOf(config['hide']);
  if (forbidden.length + required.length + hidden.length === 0) {
    env.problem('', 'the guard guards nothing', 'write forbid, require or hide');
    return null;
  }
  const guard = (exchange: ExtensionExchange): void => {
    for (const header of forbidden) if (exchange.request.has(header)) return exchange.reply(403, 'field not allowed');
    for (const header of required)
      if ((exchange.request.get(header) ?? '') === '') return exchange.reply(400, 'field missing');
  };
  const hide = (exchange: ExtensionExchange): void => {
    for (const header of hidden) exchange.response.remove(header);
  };
  return {
    ...(forbidden.length + required.length === 0 ? {} : { onRequest: guard }),
    ...(hidden.length === 0 ? {} : { onResponse: hide }),
  };
}
