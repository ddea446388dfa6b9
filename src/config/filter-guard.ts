// EnvoyFilters that put in a filter which keeps somebody out (authorization, tokens, passwords). One that was refused and
// never had a good version must not leave its workloads open: a filter that denies every request stands in for each
// place where it was to guard. What only changes a filter that is there (MERGE) guards nothing by itself. Looked for in
// the raw text, because what is refused may be written in any way.
import type { JsonValue } from '@bufbuild/protobuf';
import type { EnvoyFilterSpec, HttpFilterPatch } from './envoy-filter.ts';
import type { Fields } from './fields.ts';
import { isJsonObject } from './json-value.ts';
import type { Meta } from './meta.ts';

/** Where a filter was to guard. */
export type FilterGuard = Pick<HttpFilterPatch, 'path' | 'context' | 'port'>;

/** Names of filters and of their types; also of network filters, as far as HTTP goes. */
const GUARDS =
  /envoy\.(?:extensions\.)?filters\.(?:http|network)\.(?:rbac|jwt_authn|ext_authz|basic_auth|api_key_auth|oauth2)\b/i;
/** What patches for these name are settings of filters that others put in, if anything. */
const BESIDE: ReadonlySet<string> = new Set([
  'CLUSTER',
  'ROUTE_CONFIGURATION',
  'VIRTUAL_HOST',
  'HTTP_ROUTE',
  'BOOTSTRAP',
]);
const SIDES = ['SIDECAR_INBOUND', 'SIDECAR_OUTBOUND'] as const;
const DENY_ALL = {
  '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
  rules: { action: 'ALLOW' },
  rules_stat_prefix: 'refused_envoy_filter.',
} as const;

/** The places where the patches of a `spec` put in filters that keep somebody out. */
export function readGuards(fields: Fields): readonly FilterGuard[] {
  const guards: FilterGuard[] = [];
  for (const name of fields.names()) {
    const written = fields.json(name, true);
    const patches = name === 'configPatches' && Array.isArray(written) ? written : [written];
    for (const [index, patch] of patches.entries()) {
      const guard = guardOf(patch, patches === written ? `${fields.path}.${name}[${index}]` : `${fields.path}.${name}`);
      if (guard !== null) guards.push(guard);
    }
  }
  return guards;
}

function guardOf(written: JsonValue, path: string): FilterGuard | null {
  const everywhere = { path, context: 'ANY', port: null } as const;
  if (!isJsonObject(written)) return GUARDS.test(JSON.stringify(written)) ? everywhere : null;
  const { match, ...rest } = written;
  if (typeof rest['applyTo'] === 'string' && BESIDE.has(rest['applyTo'])) return null;
  if (!GUARDS.test(JSON.stringify(rest))) return null;
  const operation = isJsonObject(rest['patch']) ? rest['patch']['operation'] : undefined;
  if (operation === 'MERGE' || operation === 'REMOVE') return null;
  if (!isJsonObject(match)) return everywhere;
  // Gateways are no sidecars.
  if (match['context'] === 'GATEWAY') return null;
  const context = SIDES.find((known) => known === match['context']) ?? 'ANY';
  const port = isJsonObject(match['listener']) ? match['listener']['portNumber'] : undefined;
  return { path, context, port: typeof port === 'number' && Number.isInteger(port) ? port : null };
}

/** What stands in for an EnvoyFilter that was refused; null: it was to guard nothing. */
export function refusedEnvoyFilter(read: EnvoyFilterSpec | null, meta: Meta): EnvoyFilterSpec | null {
  if (read === null || read.guards.length === 0) return null;
  const patches = read.guards.map((guard): HttpFilterPatch => {
    const value = { name: `outrigger.refused/${meta.namespace}/${meta.name}`, typed_config: { ...DENY_ALL } };
    return { ...guard, subFilter: '', operation: 'INSERT_FIRST', value };
  });
  return { ...read, patches, isStandIn: true };
}
