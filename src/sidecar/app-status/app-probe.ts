// The probes of the app that the sidecar answers for a kubelet: what injection wrote about each (Istio's format of
// ISTIO_KUBE_APP_PROBERS), by the path under which the kubelet asks now. Read once at the start; only what stands there
// can be asked for, so nobody outside the pod chooses what the sidecar calls.
import { isJsonRecord, listOf, recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';

export type AppProbe = { readonly timeoutMs: number; readonly port: number } & (
  | {
      readonly kind: 'http';
      readonly isSecure: boolean;
      readonly path: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
    }
  | { readonly kind: 'tcp' }
  | {
      readonly kind: 'grpc';
      /** Empty: the server as a whole. */
      readonly service: string;
    }
);

export type AppProbes = ReadonlyMap<string, AppProbe>;

export const PROBE_PATH = /^\/app-health\/[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\/(?:livez|readyz|startupz)$/;
const PROBES_MAX = 256;
const HEADERS_MAX = 64;
const TIMEOUT_SECONDS_MAX = 600;
/** RFC 9110 section 5.6.2, and no control characters in values (section 5.5). */
const HEADER_NAME = /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/;
const HEADER_VALUE = /^[\t\x20-\x7E\x80-\xFF]*$/;

/** An empty text has none; null: the text is not what injection writes. */
export function readAppProbes(text: string): AppProbes | null {
  const probes = new Map<string, AppProbe>();
  if (text === '') return probes;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isJsonRecord(value) || Object.keys(value).length > PROBES_MAX) return null;
  for (const [path, entry] of Object.entries(value)) {
    const probe = PROBE_PATH.test(path) ? readProbe(recordOf(entry)) : null;
    if (probe === null) return null;
    probes.set(path, probe);
  }
  return probes;
}

function readProbe({ httpGet, tcpSocket, grpc, timeoutSeconds }: JsonRecord): AppProbe | null {
  const seconds = typeof timeoutSeconds === 'number' && timeoutSeconds >= 1 ? timeoutSeconds : 1;
  const timeoutMs = Math.min(seconds, TIMEOUT_SECONDS_MAX) * 1000;
  const handlers = [httpGet, tcpSocket, grpc].filter(isJsonRecord);
  const [handler] = handlers;
  if (handler === undefined || handlers.length > 1) return null;
  const { port } = handler;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
  if (handler === tcpSocket) return { kind: 'tcp', timeoutMs, port };
  if (handler === grpc) return { kind: 'grpc', timeoutMs, port, service: textOf(handler['service']) };
  const headers = listOf(handler['httpHeaders']).map((header): readonly [string, string] => {
    const { name, value } = recordOf(header);
    return [textOf(name), textOf(value)];
  });
  const isWrong = headers.some(([name, value]) => !HEADER_NAME.test(name) || !HEADER_VALUE.test(value));
  const path = textOf(handler['path']) || '/';
  if (isWrong || headers.length > HEADERS_MAX || !/^[\x21-\x7E]*$/.test(path)) return null;
  const isSecure = handler['scheme'] === 'HTTPS';
  return { kind: 'http', timeoutMs, port, isSecure, path: path.startsWith('/') ? path : `/${path}`, headers };
}
