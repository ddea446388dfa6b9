// A rate limit service that says what the descriptors ask it to: the value behind the key `say` chooses the answer. It
// keeps what it was asked.
import { create, fromBinary, toBinary, toJsonString, type MessageInitShape } from '@bufbuild/protobuf';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  RateLimitRequestSchema,
  RateLimitResponseSchema,
  RateLimitResponse_Code as Code,
  RateLimitResponse_RateLimit_Unit as Unit,
} from '../../src/xds/gen/envoy/service/ratelimit/v3/rls_pb.js';

type Answer = MessageInitShape<typeof RateLimitResponseSchema>;

const ANSWERS: Readonly<Record<string, Answer>> = {
  over: { overallCode: Code.OVER_LIMIT },
  unknown: { overallCode: Code.UNKNOWN },
  fields: {
    overallCode: Code.OK,
    responseHeadersToAdd: [{ key: 'x-from-service', value: 'response' }],
    requestHeadersToAdd: [
      { key: 'x-from-service', value: 'request' },
      { key: 'X-From-Service', value: 'again' },
    ],
    dynamicMetadata: { seen: 'yes' },
  },
  refused: {
    overallCode: Code.OVER_LIMIT,
    rawBody: new TextEncoder().encode('{"why":"too many"}'),
    responseHeadersToAdd: [
      { key: 'content-type', value: 'application/json' },
      { key: 'retry-after', value: '7' },
    ],
  },
  limits: {
    overallCode: Code.OK,
    statuses: [
      {
        code: Code.OK,
        limitRemaining: 5,
        durationUntilReset: { seconds: 9n },
        currentLimit: { requestsPerUnit: 10, unit: Unit.MINUTE },
      },
      { code: Code.OK },
      {
        code: Code.OK,
        limitRemaining: 2,
        durationUntilReset: { seconds: 3n },
        currentLimit: { requestsPerUnit: 4, unit: Unit.SECOND, name: 'small' },
      },
    ],
  },
  'limits-over': {
    overallCode: Code.OVER_LIMIT,
    statuses: [
      {
        code: Code.OVER_LIMIT,
        limitRemaining: 0,
        durationUntilReset: { seconds: 1n },
        currentLimit: { requestsPerUnit: 4, unit: Unit.DAY },
      },
    ],
  },
};

export class RateLimitServer {
  /** As JSON, in order. */
  readonly asked: string[] = [];
  port = 0;
  readonly #server = new Server();

  static async start(): Promise<RateLimitServer> {
    const made = new RateLimitServer();
    await made.#listen();
    return made;
  }

  #listen(): Promise<void> {
    this.#server.addService(
      {
        ShouldRateLimit: {
          path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
          requestStream: false,
          responseStream: false,
          requestSerialize: (bytes: Buffer) => bytes,
          requestDeserialize: (bytes: Buffer) => bytes,
          responseSerialize: (bytes: Buffer) => bytes,
          responseDeserialize: (bytes: Buffer) => bytes,
        },
      },
      {
        ShouldRateLimit: (call: { readonly request: Buffer }, done: (cause: object | null, bytes?: Buffer) => void) => {
          const request = fromBinary(RateLimitRequestSchema, call.request);
          this.asked.push(toJsonString(RateLimitRequestSchema, request));
          const say = request.descriptors.flatMap(({ entries }) => entries).find(({ key }) => key === 'say')?.value;
          if (say === 'error') done({ code: status.INTERNAL, details: 'broken' });
          else if (say !== 'nothing') {
            const answer = create(RateLimitResponseSchema, ANSWERS[say ?? ''] ?? { overallCode: Code.OK });
            done(null, Buffer.from(toBinary(RateLimitResponseSchema, answer)));
          }
        },
      },
    );
    return new Promise((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (cause, port) => {
        this.port = port;
        if (cause === null) resolve();
        else reject(cause);
      });
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}
