// Applies a state-of-the-world DiscoveryRequest to a Watch. Every request carries the whole list of
// names, so a stale one is dropped safely: the answer to the newest message will carry the list again.
import type { DiscoveryRequest } from './gen/envoy/service/discovery/v3/discovery_pb.js';
import { defaultsToWildcard } from './type-url.ts';
import { answer, type Heard } from './heard.ts';
import { Watch } from './watch.ts';

export function hearSotw(known: Watch | null, request: DiscoveryRequest): Heard {
  // No nonce, or a type that this stream has not seen: a first request, or a client that came back.
  const isFirst = known === null || request.responseNonce === '';
  const hasNamed = (known?.hasNamed ?? false) || request.resourceNames.length > 0;
  if (request.resourceNames.length === 0 && !defaultsToWildcard(request.typeUrl)) return { kind: 'unsubscribed' };
  if (isFirst) {
    const watch = new Watch(request.typeUrl, 'sotw');
    watch.hasNamed = hasNamed;
    subscribe(watch, request);
    return { kind: 'subscribed', watch };
  }
  const heard = answer(known, request.responseNonce, request.errorDetail);
  if (heard.kind !== 'stale') subscribe(known, request);
  return heard;
}

function subscribe(watch: Watch, request: DiscoveryRequest): void {
  const names = new Set(request.resourceNames);
  if (names.size > 0) watch.hasNamed = true;
  watch.setWildcard(names.delete('*') || (names.size === 0 && !watch.hasNamed));
  for (const name of watch.names) if (!names.has(name)) watch.remove(name);
  for (const name of names) {
    if (watch.names.has(name)) continue;
    watch.add(name);
    watch.mustAnswer = true;
  }
}
