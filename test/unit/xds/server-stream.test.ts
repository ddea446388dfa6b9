// The protocol rules of the server half, one test each.
import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';

import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { resourceView, type EncodedResource } from '../../../src/xds/resource.ts';
import { ServerStream } from '../../../src/xds/server-stream.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  EXTENSION_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
  VIRTUAL_HOST_TYPE,
  type TypeUrl,
} from '../../../src/xds/type-url.ts';
import type { Outgoing } from '../../../src/xds/watch.ts';
import { aCluster, aHost, aListener, anAssignment, aRoutes } from '../../support/xds-builders.ts';

const SHORT: ReadonlyMap<TypeUrl, string> = new Map([
  [CLUSTER_TYPE, 'CDS'],
  [ENDPOINT_TYPE, 'EDS'],
  [LISTENER_TYPE, 'LDS'],
  [ROUTE_TYPE, 'RDS'],
  [SECRET_TYPE, 'SDS'],
  [EXTENSION_TYPE, 'ECDS'],
  [VIRTUAL_HOST_TYPE, 'VHDS'],
]);

/** `CDS +a +b -c`: the type, what is sent, what is removed. */
function show({ typeUrl, resources, removed }: Outgoing): string {
  const parts = [
    ...resources.map(({ name }) => `+${name}`).toSorted(),
    ...removed.map((name) => `-${name}`).toSorted(),
  ];
  return [SHORT.get(typeUrl) ?? typeUrl, ...parts].join(' ');
}

class Peer {
  readonly stream: ServerStream;
  readonly variant: 'delta' | 'sotw';
  readonly nonces = new Map<TypeUrl, string>();
  readonly wanted = new Map<TypeUrl, string[]>();

  constructor(variant: 'delta' | 'sotw', resources: readonly EncodedResource[], bytesMax?: number) {
    this.stream = new ServerStream('n', bytesMax);
    this.variant = variant;
    this.stream.setView(resourceView(resources));
  }

  /** Everything that the stream sends now, without an answer to any of it. */
  sent(): string[] {
    const shown: string[] = [];
    for (let message = this.stream.next(); message !== null; message = this.stream.next()) {
      this.nonces.set(message.typeUrl, message.nonce);
      shown.push(show(message));
    }
    return shown;
  }

  show(...resources: EncodedResource[]): string[] {
    this.stream.setView(resourceView(resources));
    return this.sent();
  }

  /** Delta: a spontaneous request. State of the world: names with the newest nonce. */
  ask(typeUrl: TypeUrl, names: string[], more: { drop?: string[]; held?: Record<string, string> } = {}): string[] {
    if (this.variant === 'delta') {
      this.stream.hearDelta(
        create(DeltaDiscoveryRequestSchema, {
          typeUrl,
          resourceNamesSubscribe: names,
          resourceNamesUnsubscribe: more.drop ?? [],
          initialResourceVersions: more.held ?? {},
        }),
      );
    } else {
      this.wanted.set(typeUrl, names);
      this.#sotw(typeUrl, this.nonces.get(typeUrl) ?? '');
    }
    return this.sent();
  }

  ack(typeUrl: TypeUrl, nonce = this.nonces.get(typeUrl) ?? '', error = ''): string {
    const errorDetail = error === '' ? {} : { errorDetail: { code: 3, message: error } };
    const heard =
      this.variant === 'delta'
        ? this.stream.hearDelta(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce, ...errorDetail }))
        : this.#sotw(typeUrl, nonce, error);
    return heard.kind;
  }

  nack(typeUrl: TypeUrl, error: string): string {
    return this.ack(typeUrl, this.nonces.get(typeUrl), error);
  }

  /** Acknowledges until nothing more is sent; everything that was sent, in order. */
  settle(): string[] {
    const shown = this.sent();
    for (let round = 0; round < 20 && !this.stream.isSynced; round++) {
      for (const [typeUrl, watch] of this.stream.watches) if (watch.inFlight !== null) this.ack(typeUrl);
      const more = this.sent();
      if (more.length === 0) this.stream.release();
      shown.push(...more, ...this.sent());
    }
    return shown;
  }

  #sotw(typeUrl: TypeUrl, responseNonce: string, error = '') {
    const errorDetail = error === '' ? {} : { errorDetail: { code: 3, message: error } };
    const resourceNames = this.wanted.get(typeUrl) ?? [];
    return this.stream.hearSotw(
      create(DiscoveryRequestSchema, { typeUrl, responseNonce, resourceNames, ...errorDetail }),
    );
  }
}

const BOTH = ['delta', 'sotw'] as const;
const BASE = [aCluster('c'), anAssignment('c', 1), aListener('l'), aRoutes('r')];

describe.each(BOTH)('%s', (variant) => {
  test('the first request of a type is answered even when there is nothing', () => {
    const peer = new Peer(variant, []);
    expect(peer.ask(CLUSTER_TYPE, [])).toEqual(['CDS']);
    expect(peer.ask('type.googleapis.com/some.Unknown', [])).toEqual(['type.googleapis.com/some.Unknown']);
  });

  test('an acknowledgement is not answered, and an equal view sends nothing', () => {
    const peer = new Peer(variant, BASE);
    expect(peer.ask(CLUSTER_TYPE, [])).toEqual(['CDS +c']);
    expect(peer.ack(CLUSTER_TYPE)).toBe('acked');
    expect(peer.sent()).toEqual([]);
    expect(peer.show(...BASE)).toEqual([]);
    expect(peer.stream.isSynced).toBe(true);
  });

  test('a stale nonce is ignored', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    const old = peer.nonces.get(CLUSTER_TYPE) ?? '';
    peer.ack(CLUSTER_TYPE);
    peer.show(aCluster('c', 'changed'), ...BASE.slice(1));
    expect(peer.ack(CLUSTER_TYPE, old)).toBe('stale');
    expect(peer.sent()).toEqual([]);
    expect(peer.stream.watches.get(CLUSTER_TYPE)?.inFlight).not.toBeNull();
    expect(peer.ack(CLUSTER_TYPE)).toBe('acked');
  });

  test('a refusal is recorded and the same thing is not pushed again', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    expect(peer.nack(CLUSTER_TYPE, 'c is bad')).toBe('nacked');
    expect(peer.sent()).toEqual([]);
    expect(peer.show(...BASE)).toEqual([]);
    expect(peer.stream.watches.get(CLUSTER_TYPE)?.lastError).toBe('c is bad');
    expect(peer.show(aCluster('c', 'better'), ...BASE.slice(1))).toEqual(['CDS +c']);
    peer.ack(CLUSTER_TYPE);
    expect(peer.stream.watches.get(CLUSTER_TYPE)?.lastError).toBe('');
  });

  test('while a message is in flight later changes merge into one', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    for (const salt of ['1', '2', '3']) expect(peer.show(aCluster('c', salt), aCluster(`c${salt}`))).toEqual([]);
    peer.ack(CLUSTER_TYPE);
    expect(peer.sent()).toEqual(['CDS +c +c3']);
  });

  test('no names is everything for clusters and listeners', () => {
    expect(new Peer(variant, BASE).ask(CLUSTER_TYPE, [])).toEqual(['CDS +c']);
    expect(new Peer(variant, BASE).ask(LISTENER_TYPE, [])).toEqual(['LDS +l']);
  });

  test('a star is everything for any type', () => {
    const peer = new Peer(variant, BASE);
    expect(peer.ask(ENDPOINT_TYPE, ['*'])).toEqual(['EDS +c']);
    expect(peer.ask(CLUSTER_TYPE, ['*'])).toEqual(['CDS +c']);
  });

  test('names ask for those alone', () => {
    const peer = new Peer(variant, [...BASE, aListener('other')]);
    expect(peer.ask(LISTENER_TYPE, ['l'])).toEqual(['LDS +l']);
    peer.ack(LISTENER_TYPE);
    expect(peer.show(...BASE, aListener('other', 'changed'))).toEqual([]);
  });

  test('added names are answered with the added ones only', () => {
    const peer = new Peer(variant, [anAssignment('a', 1), anAssignment('b', 2)]);
    expect(peer.ask(ENDPOINT_TYPE, ['a'])).toEqual(['EDS +a']);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.ask(ENDPOINT_TYPE, variant === 'delta' ? ['b'] : ['a', 'b'])).toEqual(['EDS +b']);
  });

  test('removed names are not answered', () => {
    const peer = new Peer(variant, [anAssignment('a', 1), anAssignment('b', 2)]);
    peer.ask(ENDPOINT_TYPE, ['a', 'b']);
    peer.ack(ENDPOINT_TYPE);
    expect(variant === 'delta' ? peer.ask(ENDPOINT_TYPE, [], { drop: ['b'] }) : peer.ask(ENDPOINT_TYPE, ['a'])).toEqual(
      [],
    );
    expect(peer.show(anAssignment('a', 1), anAssignment('b', 3))).toEqual([]);
  });

  test('clusters that were sent are followed by their endpoints, whatever came before', () => {
    const peer = new Peer(variant, BASE);
    expect(peer.ask(ENDPOINT_TYPE, ['c'], { held: { c: BASE[1]?.version ?? '' } })).toEqual(
      variant === 'delta' ? ['EDS'] : ['EDS +c'],
    );
    peer.ack(ENDPOINT_TYPE);
    expect(peer.ask(CLUSTER_TYPE, [])).toEqual(['CDS +c', 'EDS +c']);
    peer.settle();
    expect(peer.show(aCluster('c', 'changed'), ...BASE.slice(1))).toEqual(['CDS +c', 'EDS +c']);
  });

  test('a push goes in the order clusters, endpoints, listeners, routes', () => {
    const peer = new Peer(variant, BASE);
    for (const typeUrl of [ROUTE_TYPE, LISTENER_TYPE, ENDPOINT_TYPE, CLUSTER_TYPE]) {
      peer.ask(typeUrl, typeUrl === ROUTE_TYPE ? ['r'] : typeUrl === ENDPOINT_TYPE ? ['c'] : []);
    }
    peer.settle();
    const changed = [aCluster('c', '2'), anAssignment('c', 2), aListener('l', '2'), aRoutes('r', '2')];
    expect(peer.show(...changed)).toEqual(['CDS +c', 'EDS +c', 'LDS +l', 'RDS +r']);
  });

  test('a new cluster and its endpoints are acknowledged before routes may name it, and the old one goes last', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    peer.ask(ENDPOINT_TYPE, ['c']);
    peer.ask(LISTENER_TYPE, []);
    peer.ask(ROUTE_TYPE, ['r']);
    peer.settle();
    const isDelta = variant === 'delta';
    expect(peer.show(aCluster('d'), anAssignment('d', 2), aListener('l'), aRoutes('r', 'to d'))).toEqual([
      isDelta ? 'CDS +d' : 'CDS +c +d',
    ]);
    expect(peer.stream.isHolding).toBe(true);
    peer.ack(CLUSTER_TYPE);
    expect(peer.sent()).toEqual([]);
    expect(peer.ask(ENDPOINT_TYPE, isDelta ? ['d'] : ['c', 'd'])).toEqual(['EDS +d']);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.sent()).toEqual(['RDS +r']);
    expect(peer.stream.isHolding).toBe(false);
    peer.ack(ROUTE_TYPE);
    expect(peer.sent()).toEqual(isDelta ? ['CDS -c', 'EDS -c'] : ['CDS +d']);
  });

  test('a cluster outlives new listeners for the moment in which their routes are fetched', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    peer.ask(LISTENER_TYPE, []);
    peer.ask(ROUTE_TYPE, ['r']);
    peer.settle();
    expect(peer.show(aListener('l', 'with routes r2'), aRoutes('r2'))).toEqual(['LDS +l']);
    peer.ack(LISTENER_TYPE);
    expect([peer.sent(), peer.stream.isWaiting]).toEqual([[], true]);
    expect(peer.ask(ROUTE_TYPE, variant === 'delta' ? ['r2'] : ['r', 'r2'])).toEqual(['RDS +r2']);
    peer.ack(ROUTE_TYPE);
    expect(peer.sent()).toEqual([]);
    peer.stream.release();
    expect(peer.sent()).toEqual(variant === 'delta' ? ['CDS -c', 'RDS -r'] : ['CDS']);
    expect(peer.stream.isWaiting).toBe(false);
  });

  test('a client that comes back and asks for everything at once gets listeners and routes last', () => {
    const peer = new Peer(variant, BASE);
    const more = { held: { old: 'version' } };
    expect(peer.ask(CLUSTER_TYPE, [], more)).toEqual([variant === 'delta' ? 'CDS +c -old' : 'CDS +c']);
    expect(peer.ask(ENDPOINT_TYPE, ['old'], more)).toEqual([variant === 'delta' ? 'EDS -old' : 'EDS']);
    expect([...peer.ask(LISTENER_TYPE, []), ...peer.ask(ROUTE_TYPE, ['r'])]).toEqual([]);
    peer.ack(CLUSTER_TYPE);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.sent()).toEqual([]);
    expect(peer.ask(ENDPOINT_TYPE, ['c'])).toEqual(['EDS +c']);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.sent()).toEqual(['LDS +l', 'RDS +r']);
  });

  test('routes wait for a cluster that is never acknowledged only until they are released', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    peer.ask(ROUTE_TYPE, ['r']);
    peer.settle();
    peer.show(...BASE.slice(0, 3), aCluster('d'), aRoutes('r', '2'));
    expect(peer.stream.isHolding).toBe(true);
    peer.stream.release();
    expect(peer.sent()).toEqual(['RDS +r']);
  });

  test('a cluster stays while the client refuses the routes that stopped using it', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    peer.ask(ROUTE_TYPE, ['r']);
    peer.settle();
    expect(peer.show(aRoutes('r', 'bad'))).toEqual(['RDS +r']);
    peer.nack(ROUTE_TYPE, 'no');
    expect(peer.sent()).toEqual([]);
    expect(peer.show(aRoutes('r', 'good'))).toEqual(['RDS +r']);
    peer.ack(ROUTE_TYPE);
    expect(peer.sent()).toEqual([variant === 'delta' ? 'CDS -c' : 'CDS']);
  });

  test('a cluster that was refused is not kept when it leaves', () => {
    const peer = new Peer(variant, BASE);
    peer.ask(CLUSTER_TYPE, []);
    peer.ask(ROUTE_TYPE, ['r']);
    peer.settle();
    peer.show(...BASE, aCluster('bad'));
    peer.nack(CLUSTER_TYPE, 'bad is bad');
    expect(peer.show(...BASE)).toEqual([variant === 'delta' ? 'CDS -bad' : 'CDS +c']);
  });

  test('a large push is cut, and the rest follows each acknowledgement', () => {
    const peer = new Peer(variant, [anAssignment('a', 1), anAssignment('b', 2), anAssignment('c', 3)], 10);
    expect(peer.ask(ENDPOINT_TYPE, ['a', 'b', 'c'])).toEqual(['EDS +a']);
    expect(peer.settle()).toEqual(['EDS +b', 'EDS +c']);
  });

  test('the first wildcard answer is never cut, because clients take it for complete', () => {
    const peer = new Peer(variant, [aCluster('a'), aCluster('b'), aCluster('c')], 10);
    expect(peer.ask(CLUSTER_TYPE, [])).toEqual(['CDS +a +b +c']);
  });

  test('nothing is sent before there is a view', () => {
    const stream = new ServerStream('n');
    const typeUrl = CLUSTER_TYPE;
    if (variant === 'delta') stream.hearDelta(create(DeltaDiscoveryRequestSchema, { typeUrl }));
    else stream.hearSotw(create(DiscoveryRequestSchema, { typeUrl }));
    expect(stream.next()).toBeNull();
    expect(stream.isSynced).toBe(false);
    stream.setView(resourceView(BASE));
    expect(stream.next()).toMatchObject({ typeUrl });
  });
});

describe('state of the world', () => {
  test('a request without a nonce, or of an unknown type, is a client that came back and is answered in full', () => {
    const peer = new Peer('sotw', [anAssignment('a', 1)]);
    peer.nonces.set(ENDPOINT_TYPE, 'from an earlier stream');
    expect(peer.ask(ENDPOINT_TYPE, ['a'])).toEqual(['EDS +a']);
    peer.ack(ENDPOINT_TYPE);
    peer.nonces.delete(ENDPOINT_TYPE);
    expect(peer.ask(ENDPOINT_TYPE, ['a'])).toEqual(['EDS +a']);
  });

  test('changed names with the newest nonce are answered in full for listeners', () => {
    const peer = new Peer('sotw', [aListener('a'), aListener('b')]);
    peer.ask(LISTENER_TYPE, ['a']);
    peer.ack(LISTENER_TYPE);
    expect(peer.ask(LISTENER_TYPE, ['a', 'b'])).toEqual(['LDS +a +b']);
    peer.ack(LISTENER_TYPE);
    expect(peer.ask(LISTENER_TYPE, ['b'])).toEqual([]);
  });

  test('no names is an end of the subscription for endpoints, routes, secrets and extension configs', () => {
    for (const typeUrl of [ENDPOINT_TYPE, ROUTE_TYPE, SECRET_TYPE, EXTENSION_TYPE]) {
      const peer = new Peer('sotw', BASE);
      expect(peer.ask(typeUrl, [])).toEqual([]);
      expect(peer.stream.watches.has(typeUrl)).toBe(false);
    }
    const peer = new Peer('sotw', BASE);
    peer.ask(ENDPOINT_TYPE, ['c']);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.ask(ENDPOINT_TYPE, [])).toEqual([]);
    expect(peer.show(aCluster('c'), anAssignment('c', 2))).toEqual([]);
    expect(peer.ask(ENDPOINT_TYPE, ['c'])).toEqual(['EDS +c']);
  });

  test('once names were asked for, no names is none and no longer everything', () => {
    const peer = new Peer('sotw', BASE);
    peer.ask(LISTENER_TYPE, ['l']);
    peer.ack(LISTENER_TYPE);
    expect(peer.ask(LISTENER_TYPE, [])).toEqual([]);
    expect(peer.show(...BASE, aListener('new'), aListener('l', 'changed'))).toEqual([]);
  });

  test('a name that does not exist is answered, without it', () => {
    const peer = new Peer('sotw', BASE);
    expect(peer.ask(ENDPOINT_TYPE, ['nobody'])).toEqual(['EDS']);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.show(...BASE, anAssignment('nobody', 9))).toEqual(['EDS +nobody']);
  });

  test('a change of one endpoint sends that one alone, a change of one cluster sends all clusters', () => {
    const base = [aCluster('a'), aCluster('b'), anAssignment('a', 1), anAssignment('b', 2)];
    const peer = new Peer('sotw', base);
    peer.ask(CLUSTER_TYPE, []);
    peer.ask(ENDPOINT_TYPE, ['a', 'b']);
    peer.settle();
    expect(peer.show(...base.slice(0, 3), anAssignment('b', 3))).toEqual(['EDS +b']);
    peer.settle();
    expect(peer.show(aCluster('a', '2'), ...base.slice(1, 3), anAssignment('b', 3))).toEqual(['CDS +a +b', 'EDS +a']);
  });

  test('a name with a stale nonce is taken from the next answer, which carries the whole list', () => {
    const peer = new Peer('sotw', [anAssignment('a', 1), anAssignment('b', 1)]);
    peer.ask(ENDPOINT_TYPE, ['a']);
    const first = peer.nonces.get(ENDPOINT_TYPE) ?? '';
    peer.ack(ENDPOINT_TYPE);
    peer.show(anAssignment('a', 2), anAssignment('b', 1));
    peer.wanted.set(ENDPOINT_TYPE, ['a', 'b']);
    expect(peer.ack(ENDPOINT_TYPE, first)).toBe('stale');
    expect(peer.ack(ENDPOINT_TYPE)).toBe('acked');
    expect(peer.sent()).toEqual(['EDS +b']);
  });
});

function held(...resources: EncodedResource[]): Record<string, string> {
  return Object.fromEntries(resources.map(({ name, version }) => [name, version]));
}

describe('delta', () => {
  test('versions held from an earlier stream are not sent again, and what vanished is removed', () => {
    const peer = new Peer('delta', [aCluster('same'), aCluster('changed', 'now'), aCluster('new')]);
    const versions = held(aCluster('same'), aCluster('changed', 'before'), aCluster('gone'));
    expect(peer.ask(CLUSTER_TYPE, [], { held: versions })).toEqual(['CDS +changed +new -gone']);
  });

  test('versions held count as subscriptions for types without a wildcard', () => {
    const peer = new Peer('delta', [anAssignment('a', 1)]);
    expect(peer.ask(ENDPOINT_TYPE, [], { held: held(anAssignment('a', 1), anAssignment('b', 1)) })).toEqual(['EDS -b']);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.show(anAssignment('a', 2), anAssignment('b', 2))).toEqual(['EDS +a +b']);
  });

  test('endpoints of a cluster that was sent are sent although the client holds their version', () => {
    const peer = new Peer('delta', BASE);
    expect(peer.ask(CLUSTER_TYPE, [], { held: { c: 'older' } })).toEqual(['CDS +c']);
    expect(peer.ask(ENDPOINT_TYPE, ['c'], { held: held(anAssignment('c', 1)) })).toEqual(['EDS +c']);
  });

  test('a client that starts on demand subscribes and unsubscribes the star and starts empty', () => {
    const peer = new Peer('delta', BASE);
    expect(peer.ask(CLUSTER_TYPE, ['*'], { drop: ['*'] })).toEqual(['CDS']);
    peer.ack(CLUSTER_TYPE);
    expect(peer.show(...BASE, aCluster('d'))).toEqual([]);
    expect(peer.ask(CLUSTER_TYPE, ['d'])).toEqual(['CDS +d']);
  });

  test('a name that does not exist is said to be removed, once, and is sent when it appears', () => {
    const peer = new Peer('delta', BASE);
    expect(peer.ask(ROUTE_TYPE, ['nobody'])).toEqual(['RDS -nobody']);
    peer.ack(ROUTE_TYPE);
    expect(peer.show(...BASE, aRoutes('other'))).toEqual([]);
    expect(peer.show(...BASE, aRoutes('nobody'))).toEqual(['RDS +nobody']);
  });

  test('hosts are asked for before clusters, and told after those and their endpoints', () => {
    const peer = new Peer('delta', [...BASE, aHost('r/h')]);
    expect(peer.ask(VIRTUAL_HOST_TYPE, ['r/h', 'r/nobody'])).toEqual([]);
    expect(peer.ask(CLUSTER_TYPE, [])).toEqual(['CDS +c']);
    expect(peer.ask(ENDPOINT_TYPE, ['c'])).toEqual(['EDS +c']);
    peer.ack(CLUSTER_TYPE);
    expect(peer.sent()).toEqual([]);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.sent()).toEqual(['VHDS +r/h -r/nobody']);
  });

  test('a cluster that a host has stopped using is taken when the client has the new host', () => {
    const peer = new Peer('delta', [...BASE, aHost('r/h')]);
    peer.ask(VIRTUAL_HOST_TYPE, ['r/h']);
    peer.ask(CLUSTER_TYPE, []);
    peer.settle();
    expect(peer.show(aCluster('d'), aHost('r/h', 'd'))).toEqual(['CDS +d']);
    peer.ack(CLUSTER_TYPE);
    expect(peer.sent()).toEqual(['VHDS +r/h']);
    peer.ack(VIRTUAL_HOST_TYPE);
    expect(peer.sent()).toEqual(['CDS -c']);
  });

  test('a name that is subscribed again is sent again', () => {
    const peer = new Peer('delta', BASE);
    peer.ask(ENDPOINT_TYPE, ['c']);
    peer.ack(ENDPOINT_TYPE);
    expect(peer.ask(ENDPOINT_TYPE, ['c'])).toEqual(['EDS +c']);
  });

  test('a name unsubscribed under a wildcard is sent, or removed, so that the client knows where it stands', () => {
    const peer = new Peer('delta', BASE);
    peer.ask(CLUSTER_TYPE, ['*', 'c', 'nobody']);
    peer.ack(CLUSTER_TYPE);
    expect(peer.ask(CLUSTER_TYPE, [], { drop: ['c', 'nobody'] })).toEqual(['CDS +c -nobody']);
  });

  test('an acknowledgement may change the subscription as well', () => {
    const peer = new Peer('delta', [anAssignment('a', 1), anAssignment('b', 1)]);
    peer.ask(ENDPOINT_TYPE, ['a']);
    const responseNonce = peer.nonces.get(ENDPOINT_TYPE) ?? '';
    const resourceNamesSubscribe = ['b'];
    peer.stream.hearDelta(
      create(DeltaDiscoveryRequestSchema, { typeUrl: ENDPOINT_TYPE, responseNonce, resourceNamesSubscribe }),
    );
    expect(peer.sent()).toEqual(['EDS +b']);
  });

  test('a subscription with a stale nonce is not lost', () => {
    const peer = new Peer('delta', [anAssignment('a', 1), anAssignment('b', 1)]);
    peer.ask(ENDPOINT_TYPE, ['a']);
    peer.ack(ENDPOINT_TYPE);
    const request = { typeUrl: ENDPOINT_TYPE, responseNonce: 'stale', resourceNamesSubscribe: ['b'] };
    expect(peer.stream.hearDelta(create(DeltaDiscoveryRequestSchema, request)).kind).toBe('stale');
    expect(peer.sent()).toEqual(['EDS +b']);
  });

  test('removals of extension configs are never sent', () => {
    const config = { ...aCluster('e'), typeUrl: EXTENSION_TYPE };
    const peer = new Peer('delta', [config]);
    expect(peer.ask(EXTENSION_TYPE, ['e', 'nobody'])).toEqual(['ECDS +e']);
    peer.ack(EXTENSION_TYPE);
    expect(peer.show()).toEqual([]);
  });

  test('a removal and a change travel in one message', () => {
    const peer = new Peer('delta', [aListener('a'), aListener('b')]);
    peer.ask(LISTENER_TYPE, []);
    peer.ack(LISTENER_TYPE);
    expect(peer.show(aListener('b', '2'), aListener('c'))).toEqual(['LDS +b +c -a']);
  });
});
