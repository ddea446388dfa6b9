// Asks Istio's certificate authority service for one certificate, on a connection of its own. Whatever goes wrong is an
// answer with its reason; nothing is thrown, and nothing that is said of it holds a token or a key.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '../xds/gen/istio/v1/auth/ca_pb.js';
import type { ControlAccess, Credential } from './control-access.ts';
import { GrpcConnection } from './grpc-client.ts';
import { DEADLINE_EXCEEDED, UNAVAILABLE } from './grpc-status.ts';

export const FAILURES = ['token', 'root', 'unreachable', 'refused', 'answer'] as const;
/**
 * Why there is no certificate: no token can be read; nothing vouches for the server; nobody answers, or its
 * certificate is not good; it says no; what it sent cannot be used.
 */
export type FailureReason = (typeof FAILURES)[number];

export type CertificateAnswer =
  | { readonly kind: 'issued'; readonly chain: readonly string[]; readonly shown: Credential }
  | { readonly kind: 'failed'; readonly reason: FailureReason; readonly detail: string };

export interface CertificateRequest {
  /** PEM. */
  readonly csr: string;
  /** Of the life that is asked for. */
  readonly seconds: number;
}

const PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
const CONNECT_MS_MAX = 3000;
const DEADLINE_MS = 5000;
const ANSWER_BYTES_MAX = 256 * 1024;

export async function requestCertificate(
  access: ControlAccess,
  { csr, seconds }: CertificateRequest,
): Promise<CertificateAnswer> {
  const granted = await access.prepare();
  if (granted.kind === 'denied') return { kind: 'failed', reason: granted.what, detail: granted.reason };
  const connection = new GrpcConnection({
    ...access.control,
    tls: granted.tls,
    connectMsMax: CONNECT_MS_MAX,
    messageBytesMax: ANSWER_BYTES_MAX,
  });
  const message = create(IstioCertificateRequestSchema, { csr, validityDuration: BigInt(seconds) });
  const bytes = toBinary(IstioCertificateRequestSchema, message);
  const result = await connection.unary(PATH, granted.metadata, bytes, DEADLINE_MS);
  connection.close();
  if (result.kind === 'failed') {
    access.failed(granted.shows);
    const { code, message: text } = result.status;
    const reason = code === UNAVAILABLE || code === DEADLINE_EXCEEDED ? 'unreachable' : 'refused';
    return { kind: 'failed', reason, detail: `code ${code}: ${text}` };
  }
  const chain = decode(result.message);
  if (chain === null) return { kind: 'failed', reason: 'answer', detail: 'the answer is not what it should be' };
  access.worked();
  return { kind: 'issued', chain, shown: granted.shows };
}

function decode(bytes: Uint8Array): readonly string[] | null {
  try {
    return fromBinary(IstioCertificateResponseSchema, bytes).certChain;
  } catch {
    // Bytes of another program.
    return null;
  }
}
