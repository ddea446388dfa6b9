// Where ejections are written: a line of JSON for each and for its end, in the file that
// ClusterManager.outlier_detection.event_log_path names. Access logs and health events share the writer, so lines are
// batched and never hold a request up.
import type { Clock } from '../base/clock.ts';
import type { LogFiles } from '../observe/log-file.ts';
import { formatOutlierEvent, type OutlierEvent } from '../resilience/outlier-event.ts';
import type { Bootstrap } from '../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';

/** Undefined without such a path. */
export function outlierLogOf(
  { clusterManager }: Bootstrap,
  files: LogFiles,
  clock: Clock,
): ((event: OutlierEvent) => void) | undefined {
  const path = clusterManager?.outlierDetection?.eventLogPath ?? '';
  if (path === '') return undefined;
  return (event) => files.file(path).append(`${formatOutlierEvent(event, clock.wall())}\n`);
}
