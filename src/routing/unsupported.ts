// Fields of a RouteConfiguration that are accepted without effect, or not at all. What later parts of
// the program read from the raw route (retry_policy, hash_policy, typed_per_filter_config, decorator,
// metadata, name) is not named here.
import { error, warning, type Problem } from '../base/problem.ts';
import {
  RouteAction_InternalRedirectAction as InternalRedirectAction,
  type Route,
  type RouteAction,
  type VirtualHost,
} from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';

type Field = readonly [name: string, isSet: boolean];

function warn(fields: readonly Field[], problems: Problem[], prefix: string): void {
  for (const [name, isSet] of fields) {
    if (isSet) problems.push(warning(`${prefix}${name}`, 'has no effect yet', 'leave it out if you rely on it'));
  }
}

export function warnOfConfig(config: RouteConfiguration, problems: Problem[]): void {
  const source = config.vhds?.configSource?.configSourceSpecifier.case;
  if (config.vhds !== undefined && source !== 'ads' && source !== 'self')
    problems.push(error('vhds.config_source', 'only ADS is supported as a source of hosts', 'write ads: {}'));
  if (config.validateClusters === true)
    problems.push(
      warning('validate_clusters', 'has no effect: a cluster may come later', 'write false, or leave it out'),
    );
  warn(
    [
      ['internal_only_headers', config.internalOnlyHeaders.length > 0],
      ['cluster_specifier_plugins', config.clusterSpecifierPlugins.length > 0],
    ],
    problems,
    '',
  );
}

export function warnOfHost(host: VirtualHost, problems: Problem[], path: string): void {
  if (host.matcher !== undefined)
    problems.push(error(`${path}.matcher`, 'is not supported', 'list the routes in routes'));
  warn(
    [
      ['virtual_clusters', host.virtualClusters.length > 0],
      ['cors', host.cors !== undefined],
    ],
    problems,
    `${path}.`,
  );
}

export function warnOfRoute(route: Route, problems: Problem[], path: string): void {
  warn(
    [
      ['tracing', route.tracing !== undefined],
      ['stat_prefix', route.statPrefix !== ''],
    ],
    problems,
    `${path}.`,
  );
  if (route.action.case === 'route') warnOfAction(route.action.value, problems, `${path}.route.`);
}

function warnOfAction(action: RouteAction, problems: Problem[], prefix: string): void {
  warn(
    [
      ['internal_redirect_policy', action.internalRedirectPolicy !== undefined],
      [
        'internal_redirect_action',
        action.internalRedirectAction !== InternalRedirectAction.PASS_THROUGH_INTERNAL_REDIRECT,
      ],
      ['max_internal_redirects', action.maxInternalRedirects !== undefined],
      ['cors', action.cors !== undefined],
      ['early_data_policy', action.earlyDataPolicy !== undefined],
    ],
    problems,
    prefix,
  );
}
