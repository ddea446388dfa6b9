// The section `healthCheck` of a ResiliencePolicy, or the annotations that say the same, in a cluster. A check by HTTP
// of a port that speaks something else is left out unless it names its own port. Where nothing else is said, traffic
// goes to endpoints that fail only when none passes: then it may be the checks that are wrong.
import { create } from '@bufbuild/protobuf';
import type { HealthCheckSection, HttpCheck, TcpCheck } from '../../config/health-check-section.ts';
import { readHealthAnnotations } from '../../config/health-annotations.ts';
import { Cluster_CommonLbConfigSchema, type Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
  RequestMethod,
} from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  HealthCheck_HttpHealthCheckSchema,
  HealthCheck_PayloadSchema,
  HealthCheck_TcpHealthCheckSchema,
  HealthCheckSchema,
  type HealthCheck,
  type HealthCheck_HttpHealthCheck,
  type HealthCheck_Payload,
  type HealthCheck_TcpHealthCheck,
} from '../../xds/gen/envoy/config/core/v3/health_check_pb.js';
import { Int64RangeSchema } from '../../xds/gen/envoy/type/v3/range_pb.js';
import type { MeshPort, MeshService } from '../mesh-service.ts';
import { duration } from './proto.ts';

const INTERVAL_MS = 3000;
const TIMEOUT_MS = 1000;
const UNHEALTHY_THRESHOLD = 3;
const HEALTHY_THRESHOLD = 1;
const JITTER_PERCENT = 20;
/** Below it all endpoints are used: none passes. */
const PANIC_PERCENT = 1;
const SUCCESS = [{ from: 200, to: 299 }];

export interface CheckedPort {
  readonly service: MeshService;
  readonly port: MeshPort;
}

/** What the annotations of the service say; null when they say nothing. */
export function annotatedCheck({ meta }: MeshService): HealthCheckSection | null {
  return readHealthAnnotations(meta.annotations).section;
}

export function applyHealthCheck(cluster: Cluster, section: HealthCheckSection, { service, port }: CheckedPort): void {
  const { check } = section;
  if (check.kind === 'http' && check.port === null && port.protocol !== 'http') return;
  const intervalMs = section.intervalMs ?? INTERVAL_MS;
  const made = create(HealthCheckSchema, {
    timeout: duration(section.timeoutMs ?? TIMEOUT_MS),
    interval: duration(intervalMs),
    noTrafficInterval: duration(section.idleIntervalMs ?? intervalMs),
    unhealthyThreshold: section.unhealthyThreshold ?? UNHEALTHY_THRESHOLD,
    healthyThreshold: section.healthyThreshold ?? HEALTHY_THRESHOLD,
    ...(section.jitterMs === null
      ? { intervalJitterPercent: JITTER_PERCENT }
      : { intervalJitter: duration(section.jitterMs) }),
    ...(check.port === null ? {} : { altPort: check.port }),
    healthChecker: checkerOf(check, service),
  });
  cluster.healthChecks = [made];
  // Discovery is right about who leaves: a sidecar that drains is out of it before it stops to answer.
  cluster.ignoreHealthOnHostRemoval = true;
  cluster.commonLbConfig ??= create(Cluster_CommonLbConfigSchema);
  cluster.commonLbConfig.healthyPanicThreshold ??= { $typeName: 'envoy.type.v3.Percent', value: PANIC_PERCENT };
}

function checkerOf(check: HttpCheck | TcpCheck, service: MeshService): HealthCheck['healthChecker'] {
  if (check.kind === 'tcp') return { case: 'tcpHealthCheck', value: tcpCheck(check) };
  return { case: 'httpHealthCheck', value: httpCheck(check, service) };
}

function httpCheck(check: HttpCheck, service: MeshService): HealthCheck_HttpHealthCheck {
  const spans = check.expected.length === 0 ? SUCCESS : check.expected;
  return create(HealthCheck_HttpHealthCheckSchema, {
    path: check.path,
    host: check.host === '' ? service.host : check.host,
    ...(check.method === '' ? {} : { method: RequestMethod[check.method] }),
    requestHeadersToAdd: Array.from(check.headers, ([key, value]) =>
      create(HeaderValueOptionSchema, {
        header: { key, value: value.replaceAll('%', '%%') },
        appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
        keepEmptyValue: true,
      }),
    ),
    expectedStatuses: spans.map(({ from, to }) =>
      create(Int64RangeSchema, { start: BigInt(from), end: BigInt(to + 1) }),
    ),
    // The threshold holds for wrong answers too: one bad answer is no reason to lose an instance.
    retriableStatuses: [create(Int64RangeSchema, { start: 100n, end: 600n })],
  });
}

function tcpCheck({ send, receive }: TcpCheck): HealthCheck_TcpHealthCheck {
  return create(HealthCheck_TcpHealthCheckSchema, {
    ...(send === '' ? {} : { send: payload(send) }),
    receive: receive === '' ? [] : [payload(receive)],
  });
}

function payload(text: string): HealthCheck_Payload {
  return create(HealthCheck_PayloadSchema, { payload: { case: 'text', value: Buffer.from(text).toString('hex') } });
}
