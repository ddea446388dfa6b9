// CORS of VirtualServices and HTTPRoutes: Envoy's filter in managers that send for an app, without a policy of its
// own, and the policy of each rule at its routes. Where no rule has one there is no filter.
import { create } from '@bufbuild/protobuf';
import type { CorsPolicy } from '../../config/cors-policy.ts';
import type { Route } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { CorsPolicySchema, CorsSchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import {
  HttpFilterSchema,
  type HttpFilter,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Snapshot } from '../snapshot.ts';
import { pack } from './proto.ts';
import { stringMatcher } from './route-match.ts';

const NAME = 'envoy.filters.http.cors';

export function corsFilters(snapshot: Snapshot): readonly HttpFilter[] {
  const isUsed =
    snapshot.virtualServices.some(({ spec }) => spec.http.some(({ cors }) => cors !== null)) ||
    snapshot.httpRoutes.some(({ spec }) =>
      spec.rules.some(({ filters }) => filters.some((filter) => filter.kind === 'cors')),
    );
  if (!isUsed) return [];
  const value = pack(CorsSchema, create(CorsSchema));
  return [create(HttpFilterSchema, { name: NAME, configType: { case: 'typedConfig', value } })];
}

/** Has `route` answer browsers by `policy`. Only a route that goes to an app can: Envoy's filter passes the others by. */
export function addCors(route: Route, policy: CorsPolicy): void {
  const made = create(CorsPolicySchema, {
    allowOriginStringMatch: policy.allowOrigins.map((origin) =>
      stringMatcher(origin.kind === 'present' ? { kind: 'regex', value: '.*' } : origin),
    ),
    allowMethods: policy.allowMethods.join(','),
    allowHeaders: policy.allowHeaders.join(','),
    exposeHeaders: policy.exposeHeaders.join(','),
    maxAge: policy.maxAgeMs === null ? '' : String(Math.floor(policy.maxAgeMs / 1000)),
    ...(policy.allowsCredentials === null ? {} : { allowCredentials: policy.allowsCredentials }),
    ...(policy.forwardsOthers === null ? {} : { forwardNotMatchingPreflights: policy.forwardsOthers }),
  });
  route.typedPerFilterConfig[NAME] = pack(CorsPolicySchema, made);
}
