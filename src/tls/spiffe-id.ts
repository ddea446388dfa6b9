// SPIFFE ids as this mesh uses them: `spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`. Reading is strict and on
// the bytes given: what is not exactly such an id is null, never a near miss.
// Source: SPIFFE-ID.md section 2, Istio's path convention.
import { spiffeUri, type SpiffeId } from '../base/brand.ts';

export interface WorkloadId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const BYTES_MAX = 2048;
const DOMAIN_BYTES_MAX = 255;
const SCHEME = 'spiffe://';
const DOMAIN = /^[a-z0-9._-]+$/;
/** Kubernetes names, which are narrower than SPIFFE's segments: no upper case, no `_`, no dot segments. */
const NAME = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;

export function isTrustDomain(text: string): boolean {
  return text.length <= DOMAIN_BYTES_MAX && DOMAIN.test(text);
}

/** The id, or null when one of its parts is no name. */
export function spiffeId({ trustDomain, namespace, serviceAccount }: WorkloadId): SpiffeId | null {
  if (!isTrustDomain(trustDomain) || !NAME.test(namespace) || !NAME.test(serviceAccount)) return null;
  const text = `${SCHEME}${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  return text.length > BYTES_MAX ? null : spiffeUri(text);
}

/** What a URI says; null when it is not the id of a workload. */
export function readSpiffeId(uri: string): WorkloadId | null {
  if (uri.length > BYTES_MAX || !uri.startsWith(SCHEME)) return null;
  const [trustDomain = '', ns, namespace = '', sa, serviceAccount = '', ...rest] = uri.slice(SCHEME.length).split('/');
  if (ns !== 'ns' || sa !== 'sa' || rest.length > 0) return null;
  const id = { trustDomain, namespace, serviceAccount };
  return spiffeId(id) === uri ? id : null;
}
