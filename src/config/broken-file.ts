// What is in force of a file whose YAML is broken and never was good: nothing but what keeps somebody out. Policies of its
// sound documents hold, and in the place of those in broken ones, as far as they show, stands what lets nobody in. Without
// it a control service that starts beside such a file would open what the file closed.
import { refusedPolicy } from './authorization-policy.ts';
import type { Resource } from './resource.ts';
import { keepsOut } from './security-kind.ts';
import { standInFor } from './stand-in.ts';

/** `read`: what the readers took for resources or stand-ins, and whether the document had errors in its YAML. */
export function closingPart(read: readonly { readonly resource: Resource; readonly isBroken: boolean }[]): Resource[] {
  return read
    .filter(({ resource }) => keepsOut(resource) || resource.kind === 'MeshConfig')
    .map(({ resource, isBroken }) => (isBroken ? closed(resource) : resource));
}

function closed(resource: Resource): Resource {
  if (resource.kind === 'AuthorizationPolicy') {
    // Where the text breaks off, an action that is not there may have been DENY.
    const action = resource.spec.action === 'AUDIT' ? 'AUDIT' : 'DENY';
    return { ...resource, spec: refusedPolicy({ ...resource.spec, action }) };
  }
  const { kind, meta, source } = resource;
  return standInFor({ kind, resource, meta, source }) ?? resource;
}
