// Where the spans of the demo go: to the Collector that listens on OTLP's usual port, which the bookshop's
// rules name, if one does; else to a receiver inside the demo on that port, whose traces the demo draws itself.
import { createConnection } from 'node:net';
import { SpanReceiver } from './span-receiver.ts';

const OTLP_GRPC_PORT = 4317;
const CONNECT_TIMEOUT_MS = 300;

export interface Collector {
  /** Where it takes OTLP over gRPC, on 127.0.0.1. */
  readonly port: number;
  /** Null when somebody else's Collector receives the spans. */
  readonly receiver: SpanReceiver | null;
}

/** The Collector on the port that the bookshop's rules name, or a receiver of our own on that port. */
export async function findCollector(): Promise<Collector> {
  if (await accepts(OTLP_GRPC_PORT)) return { port: OTLP_GRPC_PORT, receiver: null };
  return openReceiver(OTLP_GRPC_PORT);
}

/** A receiver of our own on a port; 0 takes any free one. */
export async function openReceiver(port: number): Promise<Collector> {
  const receiver = new SpanReceiver();
  return { port: await receiver.listen(port), receiver };
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
