// EnvoyFilter (networking.istio.io/v1alpha3), the part of it that needs no Envoy: patches of HTTP filters. Whatever else
// one may say (listeners, clusters, routes, gateways, proxy versions) is refused with its path, and with it the whole
// EnvoyFilter: half of a patch set is none that anybody has tried.
// Source: istio networking/v1alpha3/envoy_filter.proto.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Fields } from './fields.ts';
import { readGuards, type FilterGuard } from './filter-guard.ts';
import { isJsonObject } from './json-value.ts';

export const PATCH_OPERATIONS = [
  'MERGE',
  'INSERT_FIRST',
  'INSERT_BEFORE',
  'INSERT_AFTER',
  'REMOVE',
  'REPLACE',
] as const;
export type PatchOperation = (typeof PATCH_OPERATIONS)[number];

export interface HttpFilterPatch {
  /** Of the patch in the resource. */
  readonly path: string;
  readonly context: 'ANY' | 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY';
  /** Null: of any port. */
  readonly port: number | null;
  /** The HTTP filter that is patched, or beside which one is put; empty: none is named. */
  readonly subFilter: string;
  readonly operation: PatchOperation;
  /** As it is written; null for REMOVE. */
  readonly value: JsonObject | null;
}

export interface EnvoyFilterSpec {
  /** Null: every workload. */
  readonly labels: ReadonlyMap<string, string> | null;
  /** Lower is applied first. */
  readonly priority: number;
  readonly patches: readonly HttpFilterPatch[];
  /** Where it puts in filters that keep somebody out. */
  readonly guards: readonly FilterGuard[];
  /** It stands in for one that was refused and was never right: it denies every request there. */
  readonly isStandIn: boolean;
}

export const PATCHES_MAX = 64;
export const PRIORITY_MAX = 2_147_483_647;
export const PATCH_CONTEXTS = ['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY'] as const;
const MANAGER = 'envoy.filters.network.http_connection_manager';
const ROUTER = 'envoy.filters.http.router';
const INSTEAD = 'write it with the kinds of Istio, the Gateway API or outrigger.dev';

export function readEnvoyFilterSpec(fields: Fields): EnvoyFilterSpec {
  fields.refuseUnknown();
  const guards = readGuards(fields);
  refuse(fields, INSTEAD, 'targetRefs');
  const labels = fields.object('workloadSelector', (selector) => {
    selector.refuseUnknown();
    return selector.textMap('labels');
  });
  const patches = fields.list('configPatches', readPatch, PATCHES_MAX).filter((patch) => patch !== null);
  return {
    labels: labels === null || labels.size === 0 ? null : labels,
    priority: fields.integer('priority', { min: -PRIORITY_MAX, max: PRIORITY_MAX }) ?? 0,
    patches,
    guards,
    isStandIn: false,
  };
}

interface Match {
  readonly context: HttpFilterPatch['context'];
  readonly port: number | null;
  readonly subFilter: string;
}

function readPatch(fields: Fields): HttpFilterPatch | null {
  fields.refuseUnknown();
  const applyTo = fields.requiredText('applyTo', 'write HTTP_FILTER');
  if (applyTo !== 'HTTP_FILTER') {
    if (applyTo !== '') fields.error('applyTo', `${applyTo} cannot be patched here: HTTP_FILTER can`, INSTEAD);
    fields.ignore('match', 'patch');
    return null;
  }
  const match = fields.object('match', readMatch) ?? { context: 'ANY', port: null, subFilter: '' };
  const patch = fields.object('patch', (own) => readOperation(own, match.subFilter));
  if (!fields.has('patch')) fields.error('patch', 'is missing', 'write patch: { operation, value }');
  return patch === null ? null : { path: fields.path, ...match, ...patch };
}

function readMatch(fields: Fields): Match {
  fields.refuseUnknown();
  refuse(fields, 'HTTP filters are found by context and listener: remove it', 'routeConfiguration', 'cluster');
  refuse(fields, 'sidecars are not told apart by their version: remove it', 'proxy');
  const listener = fields.object('listener', readListener) ?? { port: null, subFilter: '' };
  return { context: fields.choice('context', PATCH_CONTEXTS) ?? 'ANY', ...listener };
}

function readListener(fields: Fields): Omit<Match, 'context'> {
  fields.refuseUnknown();
  refuse(fields, 'write portNumber, or leave it out', 'portName', 'name', 'listenerFilter');
  const subFilter = fields.object('filterChain', (chain) => {
    chain.refuseUnknown();
    const remedy = 'patches hold for all chains of a listener: remove it';
    refuse(chain, remedy, 'name', 'sni', 'transportProtocol', 'applicationProtocols', 'destinationPort');
    return chain.object('filter', readFilter);
  });
  return { port: fields.port('portNumber'), subFilter: subFilter ?? '' };
}

function readFilter(fields: Fields): string {
  fields.refuseUnknown();
  const name = fields.text('name');
  if (name !== MANAGER) fields.error('name', `HTTP filters stand in ${MANAGER}`, `write ${MANAGER}`);
  return (
    fields.object('subFilter', (own) => {
      own.refuseUnknown();
      return own.requiredText('name');
    }) ?? ''
  );
}

function readOperation(fields: Fields, subFilter: string): Pick<HttpFilterPatch, 'operation' | 'value'> | null {
  fields.refuseUnknown();
  refuse(fields, 'say the place by operation and subFilter', 'filterClass');
  const operation = fields.choice('operation', PATCH_OPERATIONS);
  if (!fields.has('operation')) fields.error('operation', 'is missing', `write one of ${PATCH_OPERATIONS.join(', ')}`);
  const value = fields.json('value');
  if (operation === null) return null;
  const isRemoval = operation === 'REMOVE';
  if (isRemoval === isJsonObject(value))
    fields.error('value', isRemoval ? 'has no meaning' : 'is missing', isRemoval ? 'remove it' : 'write the filter');
  if (subFilter === '' && operation !== 'INSERT_FIRST' && operation !== 'INSERT_BEFORE')
    fields.error('operation', `${operation} of no filter`, 'name it: match.listener.filterChain.filter.subFilter.name');
  if (subFilter === ROUTER && operation !== 'INSERT_BEFORE' && operation !== 'INSERT_FIRST' && operation !== 'MERGE')
    fields.error('operation', 'the router is the last filter and stays', 'write INSERT_BEFORE');
  return { operation, value: isJsonObject(value) ? value : null };
}

function refuse(fields: Fields, remedy: string, ...names: readonly string[]): void {
  for (const name of names) {
    if (fields.has(name)) fields.error(name, `${name} is not supported`, remedy);
    fields.ignore(name);
  }
}
