// Consistent hashing: the balancer belongs to the cluster, what is hashed belongs to the route.
import { create } from '@bufbuild/protobuf';
import { assertNever } from '../../base/assert.ts';
import type { HashKey } from '../../config/load-balancer.ts';
import { RouteAction_HashPolicySchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RouteAction_HashPolicy } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { duration } from './proto.ts';

export function hashPolicy(key: HashKey): RouteAction_HashPolicy {
  switch (key.kind) {
    case 'header':
      return create(RouteAction_HashPolicySchema, {
        policySpecifier: { case: 'header', value: { headerName: key.name } },
      });
    case 'cookie': {
      const ttl = key.ttlMs === null ? {} : { ttl: duration(key.ttlMs) };
      return create(RouteAction_HashPolicySchema, {
        policySpecifier: {
          case: 'cookie',
          value: { name: key.name, path: key.path, ...ttl, attributes: key.attributes.map((each) => ({ ...each })) },
        },
      });
    }
    case 'query':
      return create(RouteAction_HashPolicySchema, {
        policySpecifier: { case: 'queryParameter', value: { name: key.name } },
      });
    case 'source-ip':
      return create(RouteAction_HashPolicySchema, {
        policySpecifier: { case: 'connectionProperties', value: { sourceIp: true } },
      });
    case 'path-regex':
      // The whole path is replaced by the group, so that only the group counts.
      return create(RouteAction_HashPolicySchema, {
        policySpecifier: {
          case: 'header',
          value: {
            headerName: ':path',
            regexRewrite: { pattern: { regex: `(?s)^.*?(?:${key.regex}).*$` }, substitution: '\\1' },
          },
        },
      });
    default:
      return assertNever(key);
  }
}
