// How a gRPC call ended: the codes that we use by name, and the reading of a status from HTTP/2 headers
// or trailers (PROTOCOL-HTTP2.md, "Responses", and the table of http-grpc-status-mapping.md).
import type { IncomingHttpHeaders } from 'node:http2';

export interface GrpcStatus {
  readonly code: number;
  /** Empty when the other side gave none. */
  readonly message: string;
}

export const OK = 0;
export const CANCELLED = 1;
export const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
export const RESOURCE_EXHAUSTED = 8;
export const UNIMPLEMENTED = 12;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;

const BY_HTTP_STATUS: ReadonlyMap<number, number> = new Map([
  [400, INTERNAL],
  [401, 16],
  [403, 7],
  [404, UNIMPLEMENTED],
  [429, UNAVAILABLE],
  [502, UNAVAILABLE],
  [503, UNAVAILABLE],
  [504, UNAVAILABLE],
]);

/** The status in `headers`; null when they carry none. */
export function statusFrom(headers: IncomingHttpHeaders): GrpcStatus | null {
  const value = headers['grpc-status'];
  if (typeof value !== 'string') return null;
  const code = /^\d{1,3}$/.test(value) ? Number(value) : UNKNOWN;
  const message = headers['grpc-message'];
  return { code, message: typeof message === 'string' ? percentDecode(message) : '' };
}

/** What is wrong with response headers that do not begin a gRPC response; null when they do. */
export function headersFault(headers: IncomingHttpHeaders): GrpcStatus | null {
  const httpStatus = Number(headers[':status'] ?? 0);
  if (httpStatus !== 200) {
    return { code: BY_HTTP_STATUS.get(httpStatus) ?? UNKNOWN, message: `HTTP status ${httpStatus}` };
  }
  const type = headers['content-type'] ?? '';
  if (type.startsWith('application/grpc')) return null;
  return { code: UNKNOWN, message: `content-type ${JSON.stringify(type)} is not gRPC` };
}

/** Decodes `%XX` as UTF-8; what is not a valid escape stays as it is, as the protocol demands. */
export function percentDecode(text: string): string {
  if (!text.includes('%')) return text;
  const bytes: number[] = [];
  for (let index = 0; index < text.length; index++) {
    const hex = text.slice(index + 1, index + 3);
    if (text[index] === '%' && /^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      index += 2;
    } else {
      bytes.push(text.charCodeAt(index) & 0xff);
    }
  }
  return Buffer.from(bytes).toString('utf8');
}
