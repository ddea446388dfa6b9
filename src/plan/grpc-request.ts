// @hot
// Whether a request is gRPC, as Envoy tells it: by its content type, `application/grpc` alone or with a `+suffix`.
import { H } from '../http/header-name.ts';
import type { Head } from '../http/head.ts';

export function isGrpcRequest(request: Head): boolean {
  const type = request.get(H.contentType);
  if (type === null || !type.startsWith('application/grpc')) return false;
  return type.length === 16 || type.charCodeAt(16) === 0x2b;
}
