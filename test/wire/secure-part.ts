// The steps of a token filter and of two RBAC filters, compiled from what the benchmark's case `secure` is configured
// with, for a data plane without configuration: what stands between a request and its upstream there.
import { create, fromJson, toBinary, type DescMessage, type JsonValue } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { clusterId } from '../../src/base/brand.ts';
import { systemClock } from '../../src/base/clock.ts';
import { formatProblem } from '../../src/base/problem.ts';
import { LocalLimits } from '../../src/base/shared-limits.ts';
import { ClusterRef } from '../../src/plan/cluster.ts';
import { FilterTally } from '../../src/plan/filter-tally.ts';
import type { CompileHttpFilter } from '../../src/plan/http-filter.ts';
import type { CompileEnv, Step } from '../../src/plan/plan.ts';
import { compileJwt } from '../../src/policy/jwt-compile.ts';
import { compileRbac } from '../../src/policy/rbac-compile.ts';
import { JwtAuthenticationSchema } from '../../src/xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { RBACSchema } from '../../src/xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { securityOf } from '../bench/bench-security.ts';
import { NO_REMOTE } from '../support/no-remote.ts';

const KINDS: readonly (readonly [DescMessage, CompileHttpFilter])[] = [
  [JwtAuthenticationSchema, compileJwt],
  [RBACSchema, compileRbac],
];

/** What a request must carry in `authorization`, and the steps that let it in for that. */
export function secureSteps(): { readonly authorization: string; readonly steps: readonly Step[] } {
  const { authorization, filters } = securityOf();
  const env: CompileEnv = {
    problems: [],
    clusterRef: (name) => new ClusterRef(clusterId(name)),
    random: Math.random,
    runtimeNumber: (_key, fallback) => fallback,
  };
  const steps = filters.flatMap((filter) => stepsOf(filter, env));
  if (steps.length !== filters.length) throw new Error(env.problems.map(formatProblem).join('\n'));
  return { authorization, steps };
}

function stepsOf(filter: unknown, env: CompileEnv): readonly Step[] {
  const { typed_config: config } = Object(filter);
  const { '@type': typeUrl, ...fields } = config;
  const [schema, compile] = KINDS.find(([{ typeName }]) => typeUrl.endsWith(`/${typeName}`)) ?? [];
  if (schema === undefined || compile === undefined) throw new Error(`${typeUrl} is not a filter of the benchmark`);
  const json: JsonValue = fields;
  const value = toBinary(schema, fromJson(schema, json));
  const compiled = compile(create(AnySchema, { typeUrl, value }), {
    env,
    path: 'filter',
    name: schema.typeName,
    bit: 1,
    statPrefix: 'test',
    place: 'in',
    serviceCluster: 'web',
    isInbound: true,
    isMesh: false,
    routeMatch: () => () => true,
    clock: systemClock,
    limits: new LocalLimits(),
    remote: NO_REMOTE,
    tally: (_name, stats) => new FilterTally(stats),
  });
  return compiled?.part.onRequest ?? [];
}
