// An extension: every request says whose it is, and tenants that are closed get no answer from the app. The app learns
// the tenant in lower case, and clients do not learn which server answered.
import type { ExtensionEnv, ExtensionSteps } from '../../../src/plan/extension.ts';

export const apiVersion = 'outrigger.dev/extension/v1';
export const name = 'tenant';

export const configSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['header'],
  properties: {
    header: { type: 'string', minLength: 1 },
    closed: { type: 'array', items: { type: 'string' } },
  },
};

interface Config {
  readonly header: string;
  readonly closed?: readonly string[];
}

export function compile(config: Config, env: ExtensionEnv): ExtensionSteps {
  const tenant = env.header(config.header);
  const poweredBy = env.header('x-powered-by');
  const closed = new Set(config.closed);
  return {
    onRequest(exchange) {
      const who = exchange.request.get(tenant)?.toLowerCase() ?? '';
      if (who === '') exchange.reply(400, `say whose request it is: ${config.header}\n`);
      else if (closed.has(who)) exchange.reply(403, 'this tenant is closed\n');
      else exchange.request.set(tenant, who);
    },
    onResponse(exchange) {
      exchange.response.remove(poweredBy);
    },
  };
}
