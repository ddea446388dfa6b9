// IstioCertificateService.CreateCertificate: a certificate for the caller's own identity, which is the verified one and
// nothing that the request says. The answer is the chain from the leaf upwards and, last, every root that is trusted:
// the shape that Istio's agents read. Nobody gets a certificate in somebody else's name, node accounts included.
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { WorkloadId } from '../tls/spiffe-id.ts';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
  type IstioCertificateRequest,
} from '../xds/gen/istio/v1/auth/ca_pb.js';
import { answerOf, refusal, statusOf, type Refusal, type RefusalReason } from './authentication/refusal.ts';
import type { RefusalBook } from './authentication/refusal-book.ts';
import type { CertificateAuthority, Signature } from './ca/certificate-authority.ts';
import { CallerRate } from './caller-rate.ts';
import { accountOf, type VerifiedPeer } from './verified-peer.ts';

export type CertificateCall = ServerUnaryCall<IstioCertificateRequest, Uint8Array>;

export interface CertificateServiceOptions {
  readonly authority: CertificateAuthority;
  readonly authenticate: (
    call: CertificateCall,
  ) => Promise<{ readonly kind: 'verified'; readonly peer: VerifiedPeer } | Refusal>;
  /** What certificates say, whatever alias the caller came with. */
  readonly trustDomain: () => string;
  readonly refusals: RefusalBook;
  readonly log: Log;
  readonly clock: Clock;
}

const PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
const SECOND_MS = 1000;
/** A fleet of one account behind one address starts at once; a loop of requests does not go on. */
const BURST = 50;
const PER_SECOND = 2;
/** Istio's node agents ask for others by it. */
const IMPERSONATED = 'ImpersonatedIdentity';

type Answered = { readonly kind: 'answered'; readonly bytes: Uint8Array } | Refusal;

export class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #rate: CallerRate;
  #unauthenticated = 0;

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
    this.#rate = new CallerRate({ clock: options.clock, burst: BURST, perSecond: PER_SECOND });
  }

  /** For `Server.addService`. */
  readonly definition = {
    CreateCertificate: {
      path: PATH,
      requestStream: false as const,
      responseStream: false as const,
      requestSerialize: (): Buffer => Buffer.alloc(0),
      requestDeserialize: (bytes: Uint8Array): IstioCertificateRequest =>
        fromBinary(IstioCertificateRequestSchema, bytes),
      responseSerialize: (bytes: Uint8Array): Buffer => Buffer.from(bytes),
      responseDeserialize: (bytes: Buffer): Uint8Array => bytes,
    },
  };

  /** For `Server.addService`. */
  readonly implementation = {
    CreateCertificate: (call: CertificateCall, reply: sendUnaryData<Uint8Array>): void => {
      void this.#answer(call, reply);
    },
  };

  counters(): ReadonlyMap<string, number> {
    return new Map([['citadel_server_authentication_failure_count', this.#unauthenticated]]);
  }

  async #answer(call: CertificateCall, reply: sendUnaryData<Uint8Array>): Promise<void> {
    const answered = await this.#create(call);
    if (answered.kind === 'answered') {
      reply(null, answered.bytes);
      return;
    }
    reply({ code: statusOf(answered.reason), details: answerOf(answered.reason) });
  }

  async #create(call: CertificateCall): Promise<Answered> {
    const { authenticate, refusals } = this.#options;
    const address = call.getPeer();
    const caller = await authenticate(call);
    if (caller.kind === 'refused') {
      this.#unauthenticated += 1;
      refusals.note('ca', caller, { address });
      return caller;
    }
    const account = accountOf(caller.peer.id);
    const answered = await this.#sign(call.request, caller.peer.id, address);
    if (answered.kind === 'refused') refusals.note('ca', answered, { address, account });
    return answered;
  }

  async #sign(request: IstioCertificateRequest, caller: WorkloadId, address: string): Promise<Answered> {
    const { authority, trustDomain, log } = this.#options;
    const account = accountOf(caller);
    const host = address.slice(0, address.lastIndexOf(':'));
    if (!this.#rate.admits(`${account} ${host}`)) return refusal('rate', 'it asks too often');
    if (request.metadata?.[IMPERSONATED] !== undefined)
      return refusal('csr_identity', 'it asks for a certificate in the name of another workload');
    const id = { ...caller, trustDomain: trustDomain() };
    // What does not fit a number of milliseconds is cut to the most, as anything too long is.
    const signature = await authority.sign(request.csr, id, Number(request.validityDuration) * SECOND_MS);
    if (signature.kind === 'refused') return refusal(faultOf(signature), signature.reason);
    const { chainPem, notAfterMs } = signature;
    log.info('certificate signed', { account, address, notAfter: new Date(notAfterMs).toISOString() });
    const certChain = [...chainPem, authority.trustBundlePem.join('')];
    const message = create(IstioCertificateResponseSchema, { certChain });
    return { kind: 'answered', bytes: toBinary(IstioCertificateResponseSchema, message) };
  }
}

function faultOf({ fault }: Extract<Signature, { kind: 'refused' }>): RefusalReason {
  switch (fault) {
    case 'identity':
      return 'csr_identity';
    case 'authority':
      return 'signing';
    default:
      return 'csr';
  }
}
