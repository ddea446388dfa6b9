// Calls of the app by its own sidecar, outside of the data plane: a probe as a kubelet would have made it, and its metrics.
// They go to the pod's own address from 127.0.0.6, which the redirect leaves alone, so that they meet the app and not
// the inbound listener, whatever policy that has. They never reject; each has a time limit, and what is read a bound.
import type { IncomingMessage, RequestOptions } from 'node:http';
import { connect as connectTcp, isIPv6 } from 'node:net';
import { assertNever } from '../../base/assert.ts';
import type { AppProbe } from './app-probe.ts';

export interface AppPlace {
  /** An IP under which the app listens. */
  readonly address: string;
  /** From where it is dialled; null: the system chooses. */
  readonly from: string | null;
}

export interface AppAnswer {
  /** 0: nothing came that has one. */
  readonly status: number;
  readonly body: string;
  /** Why there is no status; else empty. */
  readonly failure: string;
}

interface HttpQuestion {
  readonly place: AppPlace;
  readonly port: number;
  readonly path: string;
  readonly isSecure: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** 0: the body is of no concern. */
  readonly bytesMax: number;
}

const REDIRECTS_MAX = 10;
const OK = 200;

/** Where an app is whose connections are redirected (`isCaptured`); one that sends to its sidecar listens on loopback. */
export function appPlace(address: string, isCaptured: boolean): AppPlace {
  if (!isCaptured) return { address: '127.0.0.1', from: null };
  return { address, from: isIPv6(address) ? '::6' : '127.0.0.6' };
}

/** The status of HTTP for the kubelet: its probe passes from 200 to 399. */
export async function askProbe(probe: AppProbe, place: AppPlace, agent: string): Promise<AppAnswer> {
  switch (probe.kind) {
    case 'http':
      return await askHttpProbe(probe, place, agent);
    case 'tcp':
      return await askTcp(probe, place);
    case 'grpc': {
      const { askGrpc } = await import('./grpc-probe.ts');
      return await askGrpc(probe, place);
    }
    default:
      return assertNever(probe);
  }
}

/** Follows what stays on this host, as a kubelet does; what leads elsewhere counts as passed. */
async function askHttpProbe(probe: AppProbe & { kind: 'http' }, place: AppPlace, agent: string): Promise<AppAnswer> {
  const headers: Record<string, string> = { 'user-agent': agent, accept: '*/*', connection: 'close' };
  for (const [name, value] of probe.headers) headers[name.toLowerCase()] = value;
  const { host = new URL(`http://${bracketed(place.address)}:${probe.port}`).host, ...others } = headers;
  const { timeoutMs } = probe;
  const endMs = performance.now() + timeoutMs;
  let { port, path, isSecure } = probe;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    const leftMs = Math.max(1, endMs - performance.now());
    const question = { place, port, path, isSecure, headers: { ...others, host }, timeoutMs: leftMs, bytesMax: 0 };
    const { location, ...answer } = await ask(question);
    if (answer.status < 300 || answer.status > 399) return answer;
    const here = `${isSecure ? 'https' : 'http'}://${bracketed(place.address)}:${port}${path}`;
    const next = location === '' || !URL.canParse(location, here) ? null : new URL(location, here);
    const hostName = host.replace(/:\d+$/, '');
    const isOwn = next !== null && [bracketed(place.address), hostName, 'localhost'].includes(next.hostname);
    if (!isOwn) return { status: OK, body: '', failure: '' };
    isSecure = next.protocol === 'https:';
    port = Number(next.port) || (isSecure ? 443 : 80);
    path = `${next.pathname}${next.search}`;
  }
  return { status: 0, body: '', failure: `more than ${REDIRECTS_MAX} redirects` };
}

/** The metrics of the app, as text. */
export async function askMetrics(
  place: AppPlace,
  { port, path }: { readonly port: number; readonly path: string },
  { timeoutMs, bytesMax }: { readonly timeoutMs: number; readonly bytesMax: number },
): Promise<AppAnswer> {
  // Not OpenMetrics: two expositions in one text must be of the format that has no end.
  const headers = { accept: 'text/plain;version=0.0.4;q=0.5,*/*;q=0.1', connection: 'close' };
  return await ask({ place, port, path, isSecure: false, headers, timeoutMs, bytesMax });
}

async function ask(question: HttpQuestion): Promise<AppAnswer & { readonly location: string }> {
  const { place, port, path, isSecure, headers, timeoutMs, bytesMax } = question;
  const options: RequestOptions = {
    host: place.address,
    port,
    path,
    headers,
    method: 'GET',
    agent: false,
    ...(place.from === null ? {} : { localAddress: place.from }),
  };
  return await new Promise((resolve) => {
    const fail = (failure: string): void => resolve({ status: 0, body: '', failure, location: '' });
    // As a kubelet: nobody has given the app a certificate for its address.
    const request = isSecure
      ? process.getBuiltinModule('node:https').request({ ...options, rejectUnauthorized: false })
      : process.getBuiltinModule('node:http').request(options);
    const timer = setTimeout(() => {
      fail(`no answer within ${Math.round(timeoutMs)} ms`);
      request.destroy();
    }, timeoutMs);
    request.on('error', (cause) => fail(cause.message));
    request.on('close', () => clearTimeout(timer));
    request.on('response', (response: IncomingMessage) => {
      const { statusCode: status = 0 } = response;
      const { location = '' } = response.headers;
      if (bytesMax === 0) {
        resolve({ status, body: '', failure: '', location });
        request.destroy();
        return;
      }
      const pieces: Buffer[] = [];
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        pieces.push(piece);
        if (bytes <= bytesMax) return;
        fail(`the answer has more than ${bytesMax} bytes`);
        request.destroy();
      });
      response.on('error', (cause) => fail(cause.message));
      response.on('end', () =>
        resolve({ status, body: Buffer.concat(pieces).toString('utf8'), failure: '', location }),
      );
    });
    request.end();
  });
}

async function askTcp({ port, timeoutMs }: AppProbe, { address, from }: AppPlace): Promise<AppAnswer> {
  return await new Promise((resolve) => {
    const socket = connectTcp({ host: address, port, ...(from === null ? {} : { localAddress: from }) });
    const end = (status: number, failure: string): void => {
      socket.destroy();
      resolve({ status, body: '', failure });
    };
    socket.setTimeout(timeoutMs, () => end(0, `no connection within ${timeoutMs} ms`));
    socket.once('connect', () => end(OK, ''));
    socket.once('error', (cause) => end(0, cause.message));
  });
}

function bracketed(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}
