// Where the spans of the demo go: to the Collector that listens on OTLP's usual port, if one does, else to
// a receiver inside the demo, whose traces the demo then draws itself.
import { createConnection } from 'node:net';
import { SpanReceiver } from './span-receiver.ts';

const OTLP_GRPC_PORT = 4317;
const CONNECT_TIMEOUT_MS = 300;

export interface Collector {
  /** `host:port`, OTLP over gRPC. */
  readonly address: string;
  /** Null when somebody else's Collector receives the spans. */
  readonly receiver: SpanReceiver | null;
}

/** Prefers a Collector on 127.0.0.1:4317 unless `isOwn` asks for the demo's receiver. */
export async function findCollector(isOwn: boolean): Promise<Collector> {
  if (!isOwn && (await accepts(OTLP_GRPC_PORT))) {
    return { address: `127.0.0.1:${OTLP_GRPC_PORT}`, receiver: null };
  }
  const receiver = new SpanReceiver();
  const port = await receiver.listen(0);
  return { address: `127.0.0.1:${port}`, receiver };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    const done = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}
