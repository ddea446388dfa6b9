// Why somebody was not let in, or was not given what they asked for. The reason is a label of a counter and a field of
// a log line; the caller gets the status and a text that tells what to do, and nothing about anybody else.
import { status } from '@grpc/grpc-js';

/** Every reason; each is a value of the label `reason`. */
export const REFUSAL_REASONS = [
  // Nothing was shown that could be checked.
  'no_credentials',
  // Certificates.
  'certificate_untrusted',
  'certificate_expired',
  'certificate_unfit',
  'certificate_identity',
  'trust_domain',
  // Tokens.
  'token_malformed',
  'token_signature',
  'token_expired',
  'token_audience',
  'token_identity',
  'token_unknown',
  'token_rejected',
  // The one who could tell cannot be asked.
  'unavailable',
  // Who it is does not fit what it says or wants.
  'namespace',
  'service_account',
  'pod',
  'csr',
  'csr_identity',
  'rate',
  'secret_namespace',
  'secret_identity',
  'signing',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export interface Refusal {
  readonly kind: 'refused';
  readonly reason: RefusalReason;
  /** For the log: what exactly, without a secret. */
  readonly details: string;
}

export function refusal(reason: RefusalReason, details: string): Refusal {
  return { kind: 'refused', reason, details };
}

/** The gRPC status that a refusal is answered with. */
export function statusOf(reason: RefusalReason): status {
  switch (reason) {
    case 'unavailable':
      return status.UNAVAILABLE;
    case 'rate':
      return status.RESOURCE_EXHAUSTED;
    case 'csr':
      return status.INVALID_ARGUMENT;
    case 'signing':
      return status.INTERNAL;
    case 'namespace':
    case 'service_account':
    case 'pod':
    case 'csr_identity':
    case 'secret_namespace':
    case 'secret_identity':
      return status.PERMISSION_DENIED;
    default:
      return status.UNAUTHENTICATED;
  }
}

/** What the caller is told. */
export function answerOf(reason: RefusalReason): string {
  switch (reason) {
    case 'no_credentials':
      return 'no credentials: show a client certificate of this mesh, or send a token as authorization: Bearer';
    case 'unavailable':
      return 'tokens cannot be checked at the moment';
    case 'rate':
      return 'too many requests';
    case 'csr':
      return 'the certificate signing request cannot be taken';
    case 'signing':
      return 'no certificate can be signed at the moment';
    case 'csr_identity':
      return 'the certificate signing request names another identity than the caller has';
    case 'namespace':
      return "the node's namespace is not that of its identity";
    case 'service_account':
      return "the node's service account is not that of its identity";
    case 'pod':
      return "the node's pod is not the one that its token was given to";
    case 'secret_namespace':
    case 'secret_identity':
      return 'the secret is not one of this identity';
    default:
      return 'authentication failed';
  }
}
