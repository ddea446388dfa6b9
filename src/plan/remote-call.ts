// What policies may ask of other services while a request waits: one HTTP request or one unary gRPC call to a
// cluster, with a time limit. The sidecar makes the calls (sidecar/remote-calls.ts), each cluster behind a breaker
// of its own; a policy cannot reach a socket by itself. A call ends exactly once, and never throws.

export interface RemoteHttpRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** The Host field. */
  readonly authority: string;
  /** Names in lower case, in order; a name may come twice. Wire text: one character a byte. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array | null;
}

export interface RemoteHttpResponse {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export type RemoteHttpResult =
  | { readonly kind: 'answered'; readonly response: RemoteHttpResponse }
  /** `reason`: `timeout`, `breaker open`, `no healthy upstream`, or what the connection said. */
  | { readonly kind: 'failed'; readonly reason: string };

export type RemoteGrpcResult =
  | { readonly kind: 'answered'; readonly message: Uint8Array }
  /** `status`: gRPC's code; 14 when nobody could be reached. */
  | { readonly kind: 'failed'; readonly status: number; readonly reason: string };

/** A call under way. */
export interface RemoteCall {
  /** Nobody waits for the answer any more; `done` is not called. */
  cancel(): void;
}

export interface RemoteCalls {
  /** `done` is never called before this returns. `timeoutMs` 0 is none. A response of more than `bytesMax` (1 MiB by default) fails. */
  http(cluster: string, request: RemoteHttpRequest, options: RemoteOptions<RemoteHttpResult>): RemoteCall;
  /** `path`: `/package.Service/Method`. */
  grpc(cluster: string, path: string, message: Uint8Array, options: RemoteGrpcOptions): RemoteCall;
}

export interface RemoteOptions<Result> {
  readonly timeoutMs: number;
  readonly done: (result: Result) => void;
  readonly bytesMax?: number;
}

export interface RemoteGrpcOptions extends RemoteOptions<RemoteGrpcResult> {
  /** Initial metadata, such as `x-request-id`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** `:authority`; by default the name of the cluster, as Envoy has it. */
  readonly authority?: string;
}
