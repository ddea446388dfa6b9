// The client half of ADS in bytes: one of the two state machines with the codec of its messages, so that
// the client above need not know which variant it speaks.
import { fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

import { type ClientStream } from '../xds/client-stream.ts';
import { DeltaClient } from '../xds/delta-client.ts';
import type { Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { SotwClient } from '../xds/sotw-client.ts';
import type { TypeUrl } from '../xds/type-url.ts';
import { formatRefusals, type Refusal, type Update, type Variant } from '../xds/update.ts';

export type WireAnswer =
  /** `request` is null when nobody asked for the type; `error` is the text of a NACK, else empty. */
  | { readonly kind: 'answered'; readonly request: Uint8Array | null; readonly error: string }
  /** The bytes are no response: the stream is of no more use. */
  | { readonly kind: 'unsound' };

export interface AdsWire {
  readonly path: string;
  open(): Uint8Array[];
  subscribe(typeUrl: TypeUrl, names: ReadonlySet<string> | '*'): Uint8Array | null;
  receive(bytes: Uint8Array, hand: (update: Update) => readonly Refusal[]): WireAnswer;
  close(): void;
}

export type DiscoveryService = 'aggregated' | 'secrets';

const PATHS: Readonly<Record<DiscoveryService, Readonly<Record<Variant, string>>>> = {
  aggregated: {
    delta: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    sotw: '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
  },
  secrets: {
    delta: '/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets',
    sotw: '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets',
  },
};

export function adsWire(variant: Variant, node: Node, service: DiscoveryService = 'aggregated'): AdsWire {
  const path = PATHS[service][variant];
  return variant === 'delta'
    ? wire(path, new DeltaClient({ node }), {
        request: DeltaDiscoveryRequestSchema,
        response: DeltaDiscoveryResponseSchema,
      })
    : wire(path, new SotwClient({ node }), {
        request: DiscoveryRequestSchema,
        response: DiscoveryResponseSchema,
      });
}

function wire<Request extends DescMessage, Response extends DescMessage>(
  path: string,
  client: ClientStream<MessageShape<Request>, MessageShape<Response>>,
  schemas: { readonly request: Request; readonly response: Response },
): AdsWire {
  const encode = (request: MessageShape<Request>): Uint8Array => toBinary(schemas.request, request);
  return {
    path,
    open: () => client.open().map(encode),
    subscribe(typeUrl, names) {
      const request = client.subscribe(typeUrl, names);
      return request === null ? null : encode(request);
    },
    receive(bytes, hand) {
      const response = decode(schemas.response, bytes);
      if (response === null) return { kind: 'unsound' };
      const received = client.receive(response);
      if (received === null) return { kind: 'answered', request: null, error: '' };
      const refused = hand(received.update);
      const request = encode(client.answer(received, refused));
      return { kind: 'answered', request, error: formatRefusals([...received.refused, ...refused]) };
    },
    close: () => client.close(),
  };
}

function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> | null {
  try {
    return fromBinary(schema, bytes);
  } catch {
    // Only a decoding error can be thrown here, and null says exactly that.
    return null;
  }
}
