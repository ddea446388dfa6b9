// External authorization of connections: before a connection is handed to the filter that ends its chain, a service is
// asked over gRPC, with its addresses, its principals and, where wanted, its certificate and server name. Its bytes
// stay unread meanwhile. Whoever cannot be asked denies, unless the settings say otherwise; a denied connection is closed.
// Source: Envoy source/extensions/filters/network/ext_authz/ext_authz.cc, CheckRequestUtils::createTcpCheck.
import { create, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { error, type Problem } from '../base/problem.ts';
import type { ConnectionGuard } from '../plan/connection-guard.ts';
import { compileMetadataMatcher } from '../plan/dynamic-metadata.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { FilterStat, FilterTally } from '../plan/filter-tally.ts';
import type { FilterStatPart } from '../plan/http-filter.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { RemoteCall, RemoteCalls } from '../plan/remote-call.ts';
import { FLAGS } from '../plan/response-flags.ts';
import { ExtAuthzSchema } from '../xds/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js';
import { CheckRequestSchema } from '../xds/gen/envoy/service/auth/v3/external_auth_pb.js';
import { unpack } from '../xds/unpack.ts';
import { peersOf, type AuthzPeers } from './ext-authz-attributes.ts';
import type { AuthzDecision } from './ext-authz-decision.ts';
import { callGrpc } from './ext-authz-grpc.ts';
import { compileAuthzGrpc } from './ext-authz-service.ts';
import type { AuthzGrpcService } from './ext-authz-settings.ts';

export interface NetworkExtAuthzScope {
  readonly env: CompileEnv;
  readonly path: string;
  readonly remote: RemoteCalls;
  readonly tally: (name: string, stats: readonly FilterStat[], part: FilterStatPart) => FilterTally;
}

/** `ext_authz.STAT_PREFIX.*`, under Envoy's names. */
export const NETWORK_AUTHZ_STATS = [
  { name: 'total', kind: 'counter' },
  { name: 'ok', kind: 'counter' },
  { name: 'denied', kind: 'counter' },
  { name: 'error', kind: 'counter' },
  { name: 'failure_mode_allowed', kind: 'counter' },
  { name: 'disabled', kind: 'counter' },
  { name: 'cx_closed', kind: 'counter' },
  { name: 'active', kind: 'gauge' },
] as const;

const STAT = { TOTAL: 0, OK: 1, DENIED: 2, ERROR: 3, FAILURE_ALLOWED: 4, DISABLED: 5, CLOSED: 6, ACTIVE: 7 } as const;

interface Settings extends AuthzPeers {
  readonly service: AuthzGrpcService;
  readonly remote: RemoteCalls;
  readonly tally: FilterTally;
  /** Null: every connection is asked about. */
  readonly isEnabled: ((x: Exchange) => boolean) | null;
  readonly allowsOnFailure: boolean;
}

/** True when `any` holds a network ExtAuthz, which compileNetworkExtAuthz then reads. */
export function isNetworkExtAuthz(any: Any): boolean {
  return unpack(any, ExtAuthzSchema) !== null;
}

/** Null after reporting why the filter is refused. */
export function compileNetworkExtAuthz(config: Any, scope: NetworkExtAuthzScope): ConnectionGuard | null {
  const { env, path } = scope;
  const problems: Problem[] = [];
  const message = unpack(config, ExtAuthzSchema);
  if (message === null || message.statPrefix === '')
    problems.push(error(`${path}.stat_prefix`, 'must be set', 'write a prefix of statistics'));
  const { grpcService } = message ?? {};
  if (grpcService === undefined)
    problems.push(error(`${path}.grpc_service`, 'must be set', 'write envoy_grpc with cluster_name'));
  const before = env.problems.length;
  const service = grpcService === undefined ? null : compileAuthzGrpc(grpcService, env, `${path}.grpc_service`);
  const enabled = message?.filterEnabledMetadata;
  const isEnabled =
    enabled === undefined ? null : compileMetadataMatcher(enabled, env.problems, `${path}.filter_enabled_metadata`);
  env.problems.push(...problems);
  const isRefused = env.problems.slice(before).some(({ severity }) => severity === 'error');
  if (message === null || service === null || isRefused) return null;
  const { statPrefix } = message;
  return guardOf({
    service,
    remote: scope.remote,
    tally: scope.tally(statPrefix, NETWORK_AUTHZ_STATS, {
      label: 'envoy_ext_authz_prefix',
      value: 'ext_authz',
      root: '',
    }),
    isEnabled,
    allowsOnFailure: message.failureModeAllow,
    includesCertificate: message.includePeerCertificate,
    includesTlsSession: message.includeTlsSession,
    destinationLabels: {},
  });
}

function guardOf(settings: Settings): ConnectionGuard {
  return {
    admits: () => true,
    // Nobody dials for a connection that may still be denied; one that came under older rules was never asked about.
    wouldAdmit: (x) => settings.isEnabled !== null && !settings.isEnabled(x),
    ask: (x, done) => ask(x, settings, done),
  };
}

function ask(x: Exchange, settings: Settings, done: (isAdmitted: boolean) => void): RemoteCall | null {
  const { tally, isEnabled, service, remote } = settings;
  if (isEnabled !== null && !isEnabled(x)) {
    tally.add(STAT.DISABLED, 1);
    return null;
  }
  tally.add(STAT.TOTAL, 1);
  tally.add(STAT.ACTIVE, 1);
  const attributes = { ...peersOf(x, settings), metadataContext: {} };
  const message = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }));
  const call = callGrpc(x, message, { service, remote }, (decision) => {
    tally.add(STAT.ACTIVE, -1);
    done(judged(x, settings, decision));
  });
  return {
    cancel: () => {
      tally.add(STAT.ACTIVE, -1);
      call.cancel();
    },
  };
}

function judged(x: Exchange, { tally, allowsOnFailure }: Settings, decision: AuthzDecision): boolean {
  if (decision.kind === 'allowed') {
    tally.add(STAT.OK, 1);
    return true;
  }
  if (decision.kind === 'failed') {
    tally.add(STAT.ERROR, 1);
    if (allowsOnFailure) {
      tally.add(STAT.FAILURE_ALLOWED, 1);
      return true;
    }
  } else tally.add(STAT.DENIED, 1);
  tally.add(STAT.CLOSED, 1);
  x.flags |= FLAGS.UAEX;
  x.details = decision.kind === 'failed' ? 'ext_authz_error' : 'ext_authz_denied';
  return false;
}
