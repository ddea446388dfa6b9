// @hot
// The endpoint of a request's next attempt: the one that its session asks for, while that is in service, else
// whichever the cluster's picker chooses. A session is for the first attempt; a retry goes elsewhere.
import type { Cluster, Endpoint } from '../plan/cluster.ts';
import type { Exchange } from '../plan/exchange.ts';

const OTHER_PICKS = 5;

/** Another endpoint than `avoided`, which has just failed, if the picker has one to offer soon. */
export function pickOther(cluster: Cluster, x: Exchange, avoided: Endpoint): Endpoint | null {
  let endpoint: Endpoint | null = avoided;
  for (let i = 0; i < OTHER_PICKS && endpoint === avoided; i++) endpoint = cluster.picker.pick(x);
  return endpoint;
}

/** Null when there is none, or a strict session's is out of service. Call it before the attempt is counted. */
export function pickEndpoint(cluster: Cluster, x: Exchange): Endpoint | null {
  if (x.sessionEndpoint !== '' && x.attempts === 0) {
    const kept = cluster.sessionEndpoint === undefined ? null : cluster.sessionEndpoint(x.sessionEndpoint);
    if (kept !== null || x.isSessionStrict) return kept;
  }
  return cluster.picker.pick(x);
}
