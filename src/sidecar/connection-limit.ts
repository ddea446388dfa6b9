// How many downstream connections the process may have. A connection usually needs a descriptor on either
// side, and the process some of its own: without a setting the limit keeps both in reach, so that a flood of
// connections is refused one by one and never takes the descriptors of what runs.
import { readFileSync } from 'node:fs';
import { error, warning, type Problem } from '../base/problem.ts';
import type { OverloadManager } from '../xds/gen/envoy/config/overload/v3/overload_pb.js';
import {
  DownstreamConnectionsConfigSchema,
  type DownstreamConnectionsConfig,
} from '../xds/gen/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections_pb.js';
import { unpack } from '../xds/unpack.ts';

/** Envoy's runtime key. */
const KEY = 'overload.global_downstream_max_connections';
/** What a setting must leave of the open files: past them the kernel's refusal would be seen by nobody. */
const USABLE_SHARE = 7 / 8;
/** Descriptors kept for logs, the control service, admin and listening sockets. */
const RESERVED = 256;

/** The monitor of the bootstrap's overload manager, else the runtime key, else what descriptors allow. */
export function connectionLimitOf(manager: OverloadManager | undefined, runtime: ReadonlyMap<string, number>): number {
  for (const monitor of manager?.resourceMonitors ?? []) {
    const config = monitorOf(monitor);
    if (config !== null && config.maxActiveDownstreamConnections > 0n) {
      return Number(config.maxActiveDownstreamConnections);
    }
  }
  const configured = runtime.get(KEY);
  const descriptors = descriptorsMax();
  // Descriptors that are not there cannot be configured.
  if (configured !== undefined) return Math.min(configured, Math.floor(descriptors * USABLE_SHARE));
  // A very small allowance (a test, a shell) still leaves half for downstreams.
  return Math.floor(Math.max(descriptors - RESERVED, descriptors / 2) / 2);
}

/** The soft limit of open files; unlimited where the system does not tell. */
function descriptorsMax(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Says which parts of an overload manager do nothing here: all but the monitor of downstream connections. */
export function checkOverload(manager: OverloadManager | undefined, problems: Problem[]): void {
  for (const [index, monitor] of (manager?.resourceMonitors ?? []).entries()) {
    const path = `overload_manager.resource_monitors[${index}]`;
    const config = monitorOf(monitor);
    if (config === null) problems.push(warning(path, `${monitor.name} has no effect yet`));
    else if (config.maxActiveDownstreamConnections <= 0n) {
      const at = `${path}.typed_config.max_active_downstream_connections`;
      problems.push(error(at, 'must be at least 1', 'write how many'));
    }
  }
  const parts = [
    ['actions', manager?.actions.length],
    ['loadshed_points', manager?.loadshedPoints.length],
  ] as const;
  for (const [name, count = 0] of parts) {
    if (count > 0) problems.push(warning(`overload_manager.${name}`, 'has no effect yet'));
  }
}

function monitorOf({ configType }: OverloadManager['resourceMonitors'][number]): DownstreamConnectionsConfig | null {
  return configType.case === 'typedConfig' ? unpack(configType.value, DownstreamConnectionsConfigSchema) : null;
}
