// The process behind SteadyTraffic: an upstream that answers at once, and clients on kept connections
// that send at a fixed pace whatever the answers do. A latency counts from the moment at which the
// request was due, so a proxy that stalls cannot hide behind requests that were never sent.
// Standard input: `go RATE CONNECTIONS PORT`, then `report` as often as wanted. Output: a line of JSON for each.
import { createServer, connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { listen } from './free-port.ts';

const ANSWER = `HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n${'x'.repeat(100)}`;
const REQUEST = 'GET /steady HTTP/1.1\r\nHost: steady.test\r\n\r\n';
/** More than the kernel takes for a reader that takes nothing. */
const LARGE_BYTES = 16 * 1024 * 1024;
const LARGE = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE_BYTES}\r\n\r\n${'x'.repeat(LARGE_BYTES)}`);
const TURN_MS = 2;
const STALLED_MS = 10_000;

interface Lane {
  socket: Socket;
  dueMs: number;
  isBusy: boolean;
}

let latenciesMs: number[] = [];
let failed = 0;
let waiting: number[] = [];
const lanes: Lane[] = [];

const upstream = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    // One request is one packet here, but for those of attackers with a body, which is never complete.
    if (bytes.includes('/large ')) socket.write(LARGE);
    else if (!bytes.includes('POST ') && bytes.includes(' HTTP/1.1\r\n')) socket.write(ANSWER);
  });
});
say({ upstreamPort: await listen(upstream) });

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, ...numbers] = line.split(' ');
  if (word === 'go') go(numbers.map(Number));
  else report();
});

function go([rate = 0, connections = 0, port = 0]: readonly number[]): void {
  for (let i = 0; i < connections; i++) lanes.push(openLane(port));
  const startMs = performance.now();
  let sent = 0;
  setInterval(() => {
    const dueCount = Math.floor(((performance.now() - startMs) / 1000) * rate);
    for (; sent < dueCount; sent++) waiting.push(startMs + (sent / rate) * 1000);
    for (const lane of lanes) pump(lane);
  }, TURN_MS);
}

function openLane(port: number): Lane {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const lane: Lane = { socket, dueMs: 0, isBusy: false };
  let received = 0;
  let size = 0;
  socket.on('data', (bytes: Buffer) => {
    if (size === 0) {
      const isGood = bytes.subarray(0, 12).toString('latin1') === 'HTTP/1.1 200';
      const end = bytes.indexOf('\r\n\r\n');
      if (!isGood || end === -1) return giveUp(lane, port);
      size = end + 4 + 100;
    }
    received += bytes.length;
    if (received < size) return;
    latenciesMs.push(performance.now() - lane.dueMs);
    received = 0;
    size = 0;
    lane.isBusy = false;
    pump(lane);
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => giveUp(lane, port));
  return lane;
}

/** A connection that ended or answered anything but 200: the request on it failed, another connection takes its place. */
function giveUp(lane: Lane, port: number): void {
  const at = lanes.indexOf(lane);
  if (at === -1) return;
  if (lane.isBusy) failed++;
  lane.socket.destroy();
  lanes[at] = openLane(port);
}

function pump(lane: Lane): void {
  if (lane.isBusy || lane.socket.connecting) return;
  const dueMs = waiting.shift();
  if (dueMs === undefined) return;
  lane.isBusy = true;
  lane.dueMs = dueMs;
  lane.socket.write(REQUEST);
}

/** What happened since the last report. Requests that wait for longer than a timeout count as failed. */
function report(): void {
  const nowMs = performance.now();
  const stalled = lanes.filter((lane) => lane.isBusy && nowMs - lane.dueMs > STALLED_MS).length;
  const sorted = latenciesMs.toSorted((one, other) => one - other);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  say({ answered: sorted.length, failed: failed + stalled, late: waiting.length, p50Ms: at(0.5), p99Ms: at(0.99) });
  latenciesMs = [];
  failed = 0;
  waiting = waiting.filter((dueMs) => nowMs - dueMs < STALLED_MS);
}

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
