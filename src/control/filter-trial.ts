// A trial of an HTTP filter that an EnvoyFilter puts in: it is compiled as sidecars will, by the same compilers, so that
// a value which none of them would take is refused here, while its last good version is still in force. A sidecar that
// refuses it would keep its whole former listener, with the policies of that time. Nothing is called and nothing counts.
import type { Any } from '@bufbuild/protobuf/wkt';
import { clusterId } from '../base/brand.ts';
import { systemClock } from '../base/clock.ts';
import { error, type Problem } from '../base/problem.ts';
import { LocalLimits } from '../base/shared-limits.ts';
import { ClusterRef } from '../plan/cluster.ts';
import { FilterTally } from '../plan/filter-tally.ts';
import type { CompileHttpFilter, FilterScope } from '../plan/http-filter.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { RemoteCalls } from '../plan/remote-call.ts';
import { compileAdaptive } from '../policy/adaptive-compile.ts';
import { compileAdmission } from '../policy/admission-compile.ts';
import { compileCors } from '../policy/cors-compile.ts';
import { compileExtAuthz } from '../policy/ext-authz-compile.ts';
import { compileFault } from '../policy/fault-compile.ts';
import { compileGlobalLimit } from '../policy/global-rate-limit-compile.ts';
import { compileJwt } from '../policy/jwt-compile.ts';
import { compileLocalLimit } from '../policy/local-rate-limit-compile.ts';
import { compileRbac } from '../policy/rbac-compile.ts';
import { compileSession } from '../policy/session-compile.ts';
import { compileLoneMatch } from '../routing/lone-match.ts';

const FILTERS = 'envoy.extensions.filters.http';
const COMPILERS: ReadonlyMap<string, CompileHttpFilter> = new Map([
  [`${FILTERS}.adaptive_concurrency.v3.AdaptiveConcurrency`, compileAdaptive],
  [`${FILTERS}.admission_control.v3.AdmissionControl`, compileAdmission],
  [`${FILTERS}.cors.v3.Cors`, compileCors],
  [`${FILTERS}.ext_authz.v3.ExtAuthz`, compileExtAuthz],
  [`${FILTERS}.fault.v3.HTTPFault`, compileFault],
  [`${FILTERS}.jwt_authn.v3.JwtAuthentication`, compileJwt],
  [`${FILTERS}.local_ratelimit.v3.LocalRateLimit`, compileLocalLimit],
  [`${FILTERS}.ratelimit.v3.RateLimit`, compileGlobalLimit],
  [`${FILTERS}.rbac.v3.RBAC`, compileRbac],
  [`${FILTERS}.stateful_session.v3.StatefulSession`, compileSession],
]);

const NOBODY: RemoteCalls = { http: () => NO_CALL, grpc: () => NO_CALL };
const NO_CALL = { cancel: () => {} };

/** What a sidecar will say of the filter; `path` is that of its `typed_config`. */
export function tryFilter(name: string, config: Any, path: string): readonly Problem[] {
  const compile = COMPILERS.get(config.typeUrl.slice(config.typeUrl.lastIndexOf('/') + 1));
  if (compile === undefined) return [];
  const env: CompileEnv = {
    problems: [],
    clusterRef: (cluster) => new ClusterRef(clusterId(cluster)),
    random: () => 0,
    runtimeNumber: (_key, fallback) => fallback,
  };
  try {
    compile(config, scopeOf(name, path, env));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    env.problems.push(error(path, `cannot be read (${reason})`, 'write it differently, and report this as a fault'));
  }
  return env.problems;
}

function scopeOf(name: string, path: string, env: CompileEnv): FilterScope {
  return {
    env,
    path,
    name,
    bit: 1,
    statPrefix: 'trial',
    place: 'trial',
    serviceCluster: '',
    isInbound: true,
    isMesh: true,
    routeMatch: (match, problems, at) => compileLoneMatch(match, env, problems, at),
    clock: systemClock,
    limits: new LocalLimits(),
    remote: NOBODY,
    tally: (_name, stats) => new FilterTally(stats),
  };
}
