// Compiles the HealthChecks of a Cluster. Refuses what Envoy refuses, and what cannot be checked yet: a check that
// is left out in silence would send traffic to endpoints that somebody wanted to see checked first.
// Source: Envoy config.core.v3.HealthCheck and its validation rules.
import { toBinary } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { error, warning } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  HealthCheckSchema,
  type HealthCheck,
  type HealthCheck_TcpHealthCheck as TcpHealthCheck,
} from '../xds/gen/envoy/config/core/v3/health_check_pb.js';
import { ProxyProtocolConfig_Version as Version } from '../xds/gen/envoy/config/core/v3/proxy_protocol_pb.js';
import type { Endpoint_HealthCheckConfig as PlaceConfig } from '../xds/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import { HealthCheckEventFileSinkSchema } from '../xds/gen/envoy/extensions/health_check/event_sinks/file/v3/file_pb.js';
import { unpack } from '../xds/unpack.ts';
import { durationMs } from './duration.ts';
import { compileHttpProbe } from './health-http-compile.ts';
import type { CheckPlace, HealthCheckSettings, ProbeSettings, TcpProbeSettings } from './health-check-settings.ts';
import { compilePayload } from './payload.ts';

const NO_TRAFFIC_INTERVAL_MS = 60_000;

/** The checks of a cluster, all of which an endpoint must pass; those with an error are left out, with Problems. */
export function compileHealthChecks(cluster: Cluster, env: CompileEnv, path: string): readonly HealthCheckSettings[] {
  const { healthChecks } = cluster;
  const names = new Set<string>();
  return healthChecks.flatMap((check, index) => {
    const at = `${path}.health_checks[${index}]`;
    if (healthChecks.length > 1 && check.name === '') {
      env.problems.push(error(`${at}.name`, 'must be set', 'give each of several checks a name'));
    } else if (names.has(check.name)) {
      env.problems.push(error(`${at}.name`, `'${check.name}' is the name of an earlier check`, 'write another name'));
    }
    names.add(check.name);
    const settings = compileHealthCheck(check, env, at);
    return settings === null ? [] : [settings];
  });
}

function compileHealthCheck(check: HealthCheck, env: CompileEnv, path: string): HealthCheckSettings | null {
  const { problems } = env;
  const missing = (['timeout', 'interval', 'unhealthyThreshold', 'healthyThreshold'] as const).filter(
    (field) => check[field] === undefined,
  );
  for (const field of missing) {
    const name = field.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
    problems.push(error(`${path}.${name}`, 'must be set', `write ${name}`));
  }
  const positive = (field: 'timeout' | 'interval' | keyof typeof OTHER_INTERVALS, absentMs: number): number => {
    const name = field === 'timeout' || field === 'interval' ? field : OTHER_INTERVALS[field];
    return durationMs(check[field], { absentMs, aboveMs: 0 }, env, `${path}.${name}`);
  };
  const jitter = (field: 'initialJitter' | 'intervalJitter', name: string): number =>
    durationMs(check[field], { absentMs: 0, aboveMs: null }, env, `${path}.${name}`);
  const intervalMs = positive('interval', 1000);
  const noTrafficIntervalMs = positive('noTrafficInterval', NO_TRAFFIC_INTERVAL_MS);
  const unhealthyIntervalMs = positive('unhealthyInterval', intervalMs);
  checkThresholds(check, env, path);
  if ((check.altPort ?? 0) > 65_535) problems.push(error(`${path}.alt_port`, `${check.altPort} is not a port`));
  if (check.eventService !== undefined) {
    problems.push(error(`${path}.event_service`, 'events are not sent over gRPC', 'write event_logger with a file'));
  }
  const probe = compileProbe(check, env, path);
  if (probe === null) return null;
  const { transportSocketMatchCriteria: criteria } = check;
  return Object.freeze({
    name: check.name,
    timeoutMs: positive('timeout', 1000),
    intervalMs,
    initialJitterMs: jitter('initialJitter', 'initial_jitter'),
    intervalJitterMs: jitter('intervalJitter', 'interval_jitter'),
    intervalJitterPercent: check.intervalJitterPercent,
    unhealthyThreshold: check.unhealthyThreshold ?? 1,
    healthyThreshold: check.healthyThreshold ?? 1,
    port: check.altPort ?? 0,
    reusesConnection: check.reuseConnection ?? true,
    noTrafficIntervalMs,
    noTrafficHealthyIntervalMs: positive('noTrafficHealthyInterval', noTrafficIntervalMs),
    unhealthyIntervalMs,
    unhealthyEdgeIntervalMs: positive('unhealthyEdgeInterval', unhealthyIntervalMs),
    healthyEdgeIntervalMs: positive('healthyEdgeInterval', intervalMs),
    probe,
    eventPaths: eventPathsOf(check, env, path),
    logsEveryFailure: check.alwaysLogHealthCheckFailures,
    logsEverySuccess: check.alwaysLogHealthCheckSuccess,
    alpnProtocols: check.tlsOptions?.alpnProtocols ?? [],
    transportMatch:
      criteria === undefined
        ? null
        : new Map(Object.entries(criteria).map(([key, value]) => [key, JSON.stringify(value)])),
    fingerprint: createHash('sha256').update(toBinary(HealthCheckSchema, check)).digest('hex'),
  });
}

const OTHER_INTERVALS = {
  noTrafficInterval: 'no_traffic_interval',
  noTrafficHealthyInterval: 'no_traffic_healthy_interval',
  unhealthyInterval: 'unhealthy_interval',
  unhealthyEdgeInterval: 'unhealthy_edge_interval',
  healthyEdgeInterval: 'healthy_edge_interval',
} as const;

/** Envoy takes 0, which no count ever equals. */
function checkThresholds(check: HealthCheck, env: CompileEnv, path: string): void {
  const never = 'is never reached';
  if (check.unhealthyThreshold === 0) {
    const remedy = 'write 1 to fail an endpoint at the first error of the network';
    env.problems.push(warning(`${path}.unhealthy_threshold`, never, remedy));
  }
  if (check.healthyThreshold === 0) {
    env.problems.push(warning(`${path}.healthy_threshold`, never, 'write 1 to take an endpoint back at once'));
  }
}

function compileProbe(check: HealthCheck, env: CompileEnv, path: string): ProbeSettings | null {
  const { case: kind, value } = check.healthChecker;
  switch (kind) {
    case 'httpHealthCheck':
      return compileHttpProbe(value, env, `${path}.http_health_check`);
    case 'tcpHealthCheck':
      return compileTcpProbe(value, env, `${path}.tcp_health_check`);
    case 'grpcHealthCheck': {
      const remedy = 'it comes with HTTP/2; write http_health_check or tcp_health_check until then';
      env.problems.push(error(`${path}.grpc_health_check`, 'gRPC health checks are not supported yet', remedy));
      return null;
    }
    case 'customHealthCheck': {
      const remedy = 'write http_health_check or tcp_health_check';
      env.problems.push(error(`${path}.custom_health_check`, `${value.name} is not supported`, remedy));
      return null;
    }
    default:
      env.problems.push(error(path, 'does not say what to check', 'write http_health_check or tcp_health_check'));
      return null;
  }
}

function compileTcpProbe(config: TcpHealthCheck, env: CompileEnv, path: string): TcpProbeSettings | null {
  const { problems } = env;
  const send = config.send === undefined ? null : compilePayload(config.send, problems, `${path}.send`);
  const receive = config.receive.flatMap((payload, index) => {
    const block = compilePayload(payload, problems, `${path}.receive[${index}]`);
    return block === null ? [] : [block];
  });
  const { proxyProtocolConfig: announced } = config;
  const proxyVersion = announced === undefined ? null : announced.version === Version.V2 ? 2 : 1;
  return { kind: 'tcp', send: send === null || send.length === 0 ? null : send, receive, proxyVersion };
}

function eventPathsOf(check: HealthCheck, env: CompileEnv, path: string): readonly string[] {
  const paths = check.eventLogPath === '' ? [] : [check.eventLogPath];
  for (const [index, { name, typedConfig }] of check.eventLogger.entries()) {
    const at = `${path}.event_logger[${index}]`;
    const sink = typedConfig === undefined ? null : unpack(typedConfig, HealthCheckEventFileSinkSchema);
    if (sink === null) {
      env.problems.push(error(at, `event sink ${name} is not supported`, 'write a HealthCheckEventFileSink'));
    } else if (sink.eventLogPath === '') {
      env.problems.push(error(`${at}.typed_config.event_log_path`, 'must be set', 'write event_log_path'));
    } else {
      paths.push(sink.eventLogPath);
    }
  }
  return paths;
}

/**
 * Where one endpoint is checked; null where that is where it serves.
 * Source: Envoy config.endpoint.v3.Endpoint.HealthCheckConfig.
 */
export function compileCheckPlace(
  config: PlaceConfig | undefined,
  addressOf: (address: NonNullable<PlaceConfig['address']>, path: string) => CheckAddress | null,
  problems: CompileEnv['problems'],
  path: string,
): CheckPlace | null {
  if (config === undefined) return null;
  if (config.portValue > 65_535) problems.push(error(`${path}.port_value`, `${config.portValue} is not a port`));
  const address = config.address === undefined ? null : addressOf(config.address, `${path}.address`);
  return Object.freeze({
    isDisabled: config.disableActiveHealthCheck,
    address: address?.address ?? '',
    // As Envoy has it: the port of the address counts only where no other is given.
    port: config.portValue > 0 ? config.portValue : (address?.port ?? 0),
    hostname: config.hostname,
  });
}

interface CheckAddress {
  readonly address: string;
  readonly port: number;
}
