// A gRPC authorization service made of grpc-js: answers by the field `x-case` of the request that it is asked about, or by
// the address that a connection is for, and keeps what it was asked, without what differs between two runs.
import { create, fromBinary, fromJson, toBinary, toJson, type JsonObject } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  CheckRequestSchema,
  CheckResponseSchema,
  type CheckRequest,
} from '../../src/xds/gen/envoy/service/auth/v3/external_auth_pb.js';

/** As JSON, by the name of the case. A number is a gRPC status. */
export type Answers = ReadonlyMap<string, JsonObject | number | 'never'>;

const identity = (bytes: Buffer): Buffer => bytes;

export class AuthorizationServer {
  readonly asked = new Map<string, unknown>();
  readonly #server = new Server();

  static async start(port: number, answers: Answers): Promise<AuthorizationServer> {
    const made = new AuthorizationServer();
    const definition = {
      check: {
        path: '/envoy.service.auth.v3.Authorization/Check',
        requestStream: false,
        responseStream: false,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    } as const;
    made.#server.addService(definition, {
      check: (call: { request: Buffer }, done: (error: object | null, reply?: Buffer) => void) => {
        const request = fromBinary(CheckRequestSchema, call.request);
        const http = request.attributes?.request?.http;
        const raw = http?.headerMap?.headers.find(({ key }) => key === 'x-case')?.rawValue;
        const named = raw === undefined ? http?.headers['x-case'] : Buffer.from(raw).toString();
        const name = named ?? (http === undefined ? destinationOf(request) : '');
        made.asked.set(name, shapeOf(toJson(CheckRequestSchema, request)));
        const answer = answers.get(name) ?? {};
        if (answer === 'never') return;
        if (typeof answer === 'number') done({ code: answer, details: 'no' });
        else {
          const reply = fromJson(CheckResponseSchema, answer);
          done(null, Buffer.from(toBinary(CheckResponseSchema, create(CheckResponseSchema, reply))));
        }
      },
    });
    await new Promise<void>((resolve, reject) => {
      made.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (cause) => {
        if (cause === null) resolve();
        else reject(cause);
      });
    });
    return made;
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

function destinationOf({ attributes }: CheckRequest): string {
  const address = attributes?.destination?.address?.address;
  return address?.case === 'socketAddress' ? address.value.address : '';
}

function isRequestId(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'key' in value && value.key === 'x-request-id';
}

/** Ports, times and ids are told by their shape. */
function shapeOf(value: unknown): unknown {
  const text = JSON.stringify(value, (key, inner: unknown) => {
    if (key === 'portValue') return '<port>';
    if (key === 'time' || key === 'x-request-id') return '<shape>';
    if (key === 'id') return '<id>';
    if (isRequestId(inner)) return '<request id>';
    return inner;
  });
  return JSON.parse(text);
}
