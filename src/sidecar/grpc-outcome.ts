// @hot
// The status by which the endpoint of an attempt is judged: that of the response, but for a gRPC request whose response
// has its grpc-status in the head, the HTTP status that this stands for. A grpc-status in trailers
// comes too late, and is not judged. Numbers and logs keep the response's own.
import type { Head } from '../http/head.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import { isGrpcRequest } from '../plan/grpc-request.ts';

/** `head`: the final one of the attempt, `status` its own. Source: Envoy's router, and its Grpc::Utility::grpcToHttpStatus. */
export function judgedStatus(x: Exchange, head: Head, status: number): number {
  if (!isGrpcRequest(x.request)) return status;
  const grpcStatus = head.get(H.grpcStatus);
  return grpcStatus === null ? status : httpStatusOf(grpcStatus);
}

function httpStatusOf(grpcStatus: string): number {
  switch (grpcStatus) {
    case '0':
      return 200;
    case '1':
      return 499;
    case '3':
    case '9':
    case '11':
      return 400;
    case '4':
      return 504;
    case '5':
      return 404;
    case '6':
    case '10':
      return 409;
    case '7':
      return 403;
    case '8':
      return 429;
    case '12':
      return 501;
    case '14':
      return 503;
    case '16':
      return 401;
    default:
      return 500;
  }
}
