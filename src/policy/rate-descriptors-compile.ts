// Compiles the `rate_limits` of a route, of its virtual host, or of both, as a filter asks for them, into descriptor
// rules. Every action that our API version has is there but `extension`, which is refused. What has no limit in
// Envoy has one here: lists and entries.
// Source: Envoy config.route.v3.RateLimit and the rate limit filters' vh_rate_limits.
import { isIP } from 'node:net';
import { error, refuses, warning } from '../base/problem.ts';
import { readMetadata, valueAt } from '../plan/dynamic-metadata.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileHeaderMatch } from '../plan/header-match.ts';
import { headerSource, readHeader } from '../plan/header-source.ts';
import type { RoutePlace } from '../plan/http-filter.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { compileQueryMatch } from '../plan/query-match.ts';
import { wireText } from '../plan/wire-text.ts';
import {
  RateLimit_Action_MetaData_Source as MetadataSource,
  type RateLimit,
  type RateLimit_Action as Action,
  type RateLimit_Action_MetaData as MetadataAction,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { MetadataKey } from '../xds/gen/envoy/type/metadata/v3/metadata_pb.js';
import { maskedAddress } from './masked-address.ts';
import { LEFT_OUT, readOverride, type DescriptorEntry, type DescriptorRule } from './rate-descriptors.ts';

const RULES_MAX = 100;
const ENTRIES_MAX = 32;
const STAGE_MAX = 10;

/** What a filter says of the limits of virtual hosts, by the numbers of VhRateLimitsOptions. */
export const VH_OVERRIDE = 0;
export const VH_INCLUDE = 1;
export const VH_IGNORE = 2;

export interface DescriptorScope {
  readonly env: CompileEnv;
  readonly serviceCluster: string;
}

/** The rules of a route that belong to `stage`, with those of its host as `vhOption` and the route say; null after an error. */
export function compileRouteDescriptors(
  place: RoutePlace,
  stage: number,
  vhOption: number,
  scope: DescriptorScope,
): readonly DescriptorRule[] | null {
  const { route, host } = place;
  if (route.action.case !== 'route') return [];
  const action = route.action.value;
  const before = scope.env.problems.length;
  const own = compileRules(action.rateLimits, scope, `${place.path}.route.rate_limits`);
  const includes = action.includeVhRateLimits?.valueOf() === true || vhOption === VH_INCLUDE;
  const takesHost = includes || (vhOption !== VH_IGNORE && action.rateLimits.length === 0);
  const ofHost = takesHost ? compileRules(host.rateLimits, scope, `${place.hostPath}.rate_limits`) : [];
  if (refuses(scope.env.problems.slice(before))) return null;
  return [...own, ...ofHost].filter((rule) => rule.stage === stage);
}

/** The rules of one list; what is refused is reported and left out. */
export function compileRules(
  list: readonly RateLimit[],
  scope: DescriptorScope,
  path: string,
): readonly DescriptorRule[] {
  const { problems } = scope.env;
  if (list.length > RULES_MAX) problems.push(error(path, 'are too many', `write at most ${RULES_MAX}`));
  return list.slice(0, RULES_MAX).flatMap((config, index) => {
    const at = `${path}[${index}]`;
    const { actions } = config;
    if (actions.length === 0 || actions.length > ENTRIES_MAX) {
      problems.push(error(`${at}.actions`, 'are none, or too many', `write 1 to ${ENTRIES_MAX}`));
    }
    const stage = config.stage ?? 0;
    if (stage > STAGE_MAX) problems.push(error(`${at}.stage`, `${stage} is out of range`, `write 0 to ${STAGE_MAX}`));
    const entries = actions.map((action, i) => compileAction(action, scope, `${at}.actions[${i}]`));
    const found = entries.filter((entry) => entry !== null);
    if (found.length !== entries.length) return [];
    return [{ entries: found, stage, disableKey: config.disableKey, override: compileOverride(config, scope, at) }];
  });
}

function compileOverride(config: RateLimit, { env }: DescriptorScope, path: string): DescriptorRule['override'] {
  if (config.limit === undefined) return null;
  const at = `${path}.limit.dynamic_metadata.metadata_key`;
  const specifier = config.limit.overrideSpecifier;
  const key = specifier.case === 'dynamicMetadata' ? keysOf(specifier.value.metadataKey, env, at) : null;
  if (specifier.case !== 'dynamicMetadata') {
    env.problems.push(error(`${path}.limit`, 'says no limit', 'write dynamic_metadata'));
  }
  return key === null ? null : (x) => readOverride(readMetadata(x, key.namespace, key.keys));
}

/** Null after reporting why the action is refused. */
function compileAction({ actionSpecifier }: Action, scope: DescriptorScope, path: string): DescriptorEntry | null {
  const { problems } = scope.env;
  switch (actionSpecifier.case) {
    case 'sourceCluster':
      return constant('source_cluster', scope.serviceCluster);
    case 'destinationCluster':
      return { key: 'destination_cluster', read: (x) => (x.cluster === null ? '' : x.cluster.name) };
    case 'requestHeaders': {
      const { headerName, descriptorKey, skipIfAbsent } = actionSpecifier.value;
      if (!isNamed(headerName, `${path}.request_headers.header_name`, scope)) return null;
      if (!isNamed(descriptorKey, `${path}.request_headers.descriptor_key`, scope)) return null;
      const source = headerSource(headerName);
      const missing = skipIfAbsent ? LEFT_OUT : null;
      return { key: descriptorKey, read: (x) => readHeader(x.request, source) ?? missing };
    }
    case 'remoteAddress':
      return { key: 'remote_address', read: remoteAddress };
    case 'maskedRemoteAddress': {
      const { v4PrefixMaskLen: v4 = 32, v6PrefixMaskLen: v6 = 128 } = actionSpecifier.value;
      if (v4 > 32 || v6 > 128) problems.push(error(path, 'has a mask that is too long', 'write at most 32, or 128'));
      return { key: 'masked_remote_address', read: (x) => maskedAddress(remoteAddress(x) ?? '', v4, v6) };
    }
    case 'genericKey': {
      const { descriptorValue, descriptorKey } = actionSpecifier.value;
      if (!isNamed(descriptorValue, `${path}.generic_key.descriptor_value`, scope)) return null;
      return constant(descriptorKey || 'generic_key', descriptorValue);
    }
    case 'headerValueMatch':
    case 'queryParameterValueMatch':
      return compileMatch(actionSpecifier, scope, path);
    case 'metadata':
      return compileMetadata(actionSpecifier.value, scope, `${path}.metadata`);
    case 'dynamicMetadata': {
      const { descriptorKey, metadataKey, defaultValue } = actionSpecifier.value;
      const at = `${path}.dynamic_metadata`;
      problems.push(warning(at, 'is the old name of metadata', 'write metadata'));
      const source = MetadataSource.DYNAMIC;
      return compileMetadata({ descriptorKey, metadataKey, defaultValue, source, skipIfAbsent: false }, scope, at);
    }
    case 'extension':
      problems.push(error(`${path}.extension`, 'is not supported', 'use another action'));
      return null;
    default:
      problems.push(error(path, 'says no action', 'write request_headers, remote_address or another action'));
      return null;
  }
}

type MatchAction = Extract<
  Action['actionSpecifier'],
  { case: 'headerValueMatch' } | { case: 'queryParameterValueMatch' }
>;

function compileMatch(match: MatchAction, scope: DescriptorScope, path: string): DescriptorEntry | null {
  const { problems } = scope.env;
  const before = problems.length;
  const { descriptorValue, expectMatch } = match.value;
  const isHeader = match.case === 'headerValueMatch';
  const at = `${path}.${isHeader ? 'header_value_match' : 'query_parameter_value_match'}`;
  isNamed(descriptorValue, `${at}.descriptor_value`, scope);
  const holds = isHeader
    ? match.value.headers.map((one, i) => {
        const test = compileHeaderMatch(one, problems, `${at}.headers[${i}]`);
        return (x: Exchange): boolean => test !== null && test(x.request);
      })
    : match.value.queryParameters.map((one, i) => {
        const test = compileQueryMatch(one, problems, `${at}.query_parameters[${i}]`);
        return (x: Exchange): boolean => test !== null && test(x.request.path);
      });
  if (holds.length === 0) {
    problems.push(error(at, 'lists nothing to match', isHeader ? 'write headers' : 'write query_parameters'));
  }
  if (refuses(problems.slice(before))) return null;
  const wanted = expectMatch ?? true;
  const value = wireText(descriptorValue);
  const read = (x: Exchange): string | null => {
    for (const test of holds) if (!test(x)) return wanted ? null : value;
    return wanted ? value : null;
  };
  return { key: match.value.descriptorKey || (isHeader ? 'header_match' : 'query_match'), read };
}

type MetadataFields = Pick<
  MetadataAction,
  'descriptorKey' | 'metadataKey' | 'defaultValue' | 'source' | 'skipIfAbsent'
>;

function compileMetadata(action: MetadataFields, scope: DescriptorScope, path: string): DescriptorEntry | null {
  if (!isNamed(action.descriptorKey, `${path}.descriptor_key`, scope)) return null;
  const found = keysOf(action.metadataKey, scope.env, `${path}.metadata_key`);
  if (found === null) return null;
  const { namespace, keys } = found;
  const missing = action.defaultValue !== '' ? wireText(action.defaultValue) : action.skipIfAbsent ? LEFT_OUT : null;
  const isOfRoute = action.source === MetadataSource.ROUTE_ENTRY;
  const read = (x: Exchange): string | null => {
    const ofRoute = x.plan?.metadata?.route[namespace];
    const value = !isOfRoute
      ? readMetadata(x, namespace, keys)
      : ofRoute === undefined
        ? undefined
        : valueAt(ofRoute, keys);
    return typeof value === 'string' && value !== '' ? wireText(value) : missing;
  };
  return { key: action.descriptorKey, read };
}

interface MetadataPath {
  readonly namespace: string;
  readonly keys: readonly string[];
}

function keysOf(config: MetadataKey | undefined, env: CompileEnv, path: string): MetadataPath | null {
  const keys = (config?.path ?? []).map(({ segment }) => (segment.case === 'key' ? segment.value : ''));
  if (config !== undefined && config.key !== '' && keys.length > 0 && !keys.includes('')) {
    return { namespace: config.key, keys };
  }
  env.problems.push(error(path, 'names nothing', 'write key, and a path of keys'));
  return null;
}

function isNamed(text: string, path: string, { env }: DescriptorScope): boolean {
  if (text !== '') return true;
  env.problems.push(error(path, 'must not be empty', 'write a text'));
  return false;
}

function constant(key: string, text: string): DescriptorEntry {
  const value = wireText(text);
  return { key, read: () => value };
}

/** The client as the connection manager knows it; null where it came over a Unix socket. */
function remoteAddress(x: Exchange): string | null {
  const address = x.clientAddress === '' ? x.connection.remoteAddress : x.clientAddress;
  return isIP(address) === 0 ? null : address;
}
