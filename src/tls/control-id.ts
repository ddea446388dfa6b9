// The SPIFFE id under which the control service itself calls sidecars. It names no namespace and no account, so that the
// authority never signs it for a workload: its requests come for `ns/…/sa/…` alone.
// Source: SPIFFE-ID.md section 2.
import { spiffeUri, type SpiffeId } from '../base/brand.ts';
import { readSpiffeId } from './spiffe-id.ts';

export function controlId(trustDomain: string): SpiffeId {
  return spiffeUri(`spiffe://${trustDomain}/outrigger/control`);
}

/** Of the mesh that a workload belongs to; null when its id is none of a workload. */
export function controlIdFor(workload: string): SpiffeId | null {
  const id = readSpiffeId(workload);
  return id === null ? null : controlId(id.trustDomain);
}
