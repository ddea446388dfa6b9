// Which Telemetry resources hold for a workload, narrowest first: one that selects it, its namespace's,
// the root namespace's. A field that a narrower one leaves out comes from the wider.
import type { AccessLoggingSpec, TracingSpec } from '../../config/telemetry.ts';
import type { Telemetry } from '../../config/resource.ts';
import { selects } from '../mesh-service.ts';
import type { MeshNode } from '../mesh-node.ts';
import type { Snapshot } from '../snapshot.ts';

export function tracingFor(snapshot: Snapshot, node: MeshNode, direction: 'client' | 'server'): readonly TracingSpec[] {
  return telemetriesFor(snapshot, node).flatMap((telemetry) =>
    telemetry.spec.tracing.filter((entry) => entry.direction === 'both' || entry.direction === direction),
  );
}

export function accessLoggingFor(
  snapshot: Snapshot,
  node: MeshNode,
  direction: 'client' | 'server',
): readonly AccessLoggingSpec[] {
  return telemetriesFor(snapshot, node).flatMap((telemetry) =>
    telemetry.spec.accessLogging.filter((entry) => entry.direction === 'both' || entry.direction === direction),
  );
}

function telemetriesFor(snapshot: Snapshot, node: MeshNode): readonly Telemetry[] {
  const found: Telemetry[] = [];
  const { rootNamespace } = snapshot.mesh;
  const own = snapshot.telemetries.filter((telemetry) => telemetry.meta.namespace === node.namespace);
  const selecting = own.find(
    (telemetry) => telemetry.spec.selector !== null && selects(telemetry.spec.selector, node.labels),
  );
  const wide = own.find((telemetry) => telemetry.spec.selector === null);
  const root = snapshot.telemetries.find(
    (telemetry) => telemetry.meta.namespace === rootNamespace && telemetry.spec.selector === null,
  );
  for (const telemetry of [selecting, wide, root])
    if (telemetry !== undefined && !found.includes(telemetry)) found.push(telemetry);
  return found;
}
