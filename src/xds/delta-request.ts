// Applies a DeltaDiscoveryRequest to a Watch. A request may answer a response (its nonce is set), change
// the subscription, or both, as Envoy does. Subscription changes are applied even when the nonce is
// stale: delta requests are never repeated, so a change that is dropped would be lost.
import type { DeltaDiscoveryRequest } from './gen/envoy/service/discovery/v3/discovery_pb.js';
import { defaultsToWildcard } from './type-url.ts';
import { answer, type Heard } from './heard.ts';
import { Watch } from './watch.ts';

export interface DeltaContext {
  /** Names that the server has reason to send whatever version the client claims to hold. */
  readonly mustSend: ReadonlySet<string>;
  /** The name as the server has it: one text for all streams, where each request brings its own. */
  readonly known: (name: string) => string;
}

export function hearDelta(known: Watch | null, request: DeltaDiscoveryRequest, context: DeltaContext): Heard {
  const watch = known ?? new Watch(request.typeUrl, 'delta');
  if (known === null) {
    begin(watch, request, context);
    return { kind: 'subscribed', watch };
  }
  const heard = answer(watch, request.responseNonce, request.errorDetail);
  for (const name of request.resourceNamesSubscribe) {
    if (name === '*') watch.setWildcard(true);
    else watch.add(context.known(name));
  }
  unsubscribe(watch, request.resourceNamesUnsubscribe);
  return heard;
}

/** The first request of a type on a stream: versions held from an earlier stream count as subscriptions. */
function begin(watch: Watch, request: DeltaDiscoveryRequest, { mustSend, known }: DeltaContext): void {
  const subscribed = request.resourceNamesSubscribe;
  watch.setWildcard(subscribed.includes('*') || (subscribed.length === 0 && defaultsToWildcard(request.typeUrl)));
  for (const name of subscribed) if (name !== '*') watch.add(known(name));
  for (const [name, version] of Object.entries(request.initialResourceVersions)) {
    if (!watch.isWildcard && !watch.names.has(name)) watch.add(known(name));
    watch.claim(known(name), mustSend.has(name) ? '' : version);
  }
  unsubscribe(watch, request.resourceNamesUnsubscribe);
}

function unsubscribe(watch: Watch, names: readonly string[]): void {
  for (const name of names) {
    if (name === '*') watch.setWildcard(false);
    else watch.remove(name);
  }
}
