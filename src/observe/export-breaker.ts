// A circuit breaker around the export of spans, which is a call of our own beside the traffic: after a few
// failures in a row a Collector that is down or black-holed is left alone for a while, instead of holding
// each batch for the whole timeout; then one batch is the probe. Loaded with the rest of tracing.
import type { ExportBatch, Exporter } from './span-exporter.ts';

/** Exports a batch; null when the Collector took it, else what went wrong. Never rejects. */
export type GuardedExport = (exporter: Exporter, batch: ExportBatch) => Promise<string | null>;

const WINDOW_MS = 10_000;
const FAILURES_MIN = 3;
const PROBE_AFTER_MS = 2000;

/** `timeoutMs`: an export whose callback never comes counts as failed after that. */
export async function makeExportBreaker(timeoutMs: number): Promise<GuardedExport> {
  const { default: CircuitBreaker } = await import('opossum');
  const breaker = new CircuitBreaker(exportBatch, {
    timeout: timeoutMs,
    rollingCountTimeout: WINDOW_MS,
    volumeThreshold: FAILURES_MIN,
    errorThresholdPercentage: 50,
    resetTimeout: PROBE_AFTER_MS,
  });
  return async (exporter, batch) => {
    try {
      await breaker.fire(exporter, batch);
      return null;
    } catch (thrown) {
      return thrown instanceof Error ? thrown.message : String(thrown);
    }
  };
}

function exportBatch(exporter: Exporter, batch: ExportBatch): Promise<void> {
  return new Promise((resolve, reject) => {
    exporter.export(batch, (result) => {
      // ExportResultCode.SUCCESS: the enum itself is in a package that we do not depend on.
      const code: number = result.code;
      if (code === 0) resolve();
      else reject(result.error ?? new Error('the Collector refused'));
    });
  });
}
