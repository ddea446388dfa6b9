// What takes the place of a policy that was refused and never had a good version: something of the same kind that lets
// nobody in, for whoever it was meant for. A MeshConfig stands in for itself, as far as it could be read. Other kinds, that
// keep nobody out, have none.
import { refusedPolicy } from './authorization-policy.ts';
import { refusedEnvoyFilter } from './filter-guard.ts';
import type { Meta, Source } from './meta.ts';
import { refusedPeerAuthentication } from './peer-authentication.ts';
import { refusedAuthentication } from './request-authentication.ts';
import type { Resource } from './resource.ts';

/** What was read of a document. */
export interface Refused {
  readonly kind: string;
  /** As far as it could be read. */
  readonly resource: Resource | null;
  readonly meta: Meta;
  readonly source: Source;
}

/** Null: nothing has to. */
export function standInFor({ kind, resource, meta, source }: Refused): Resource | null {
  switch (kind) {
    case 'AuthorizationPolicy':
      return { kind, meta, source, spec: refusedPolicy(resource?.kind === kind ? resource.spec : null) };
    case 'PeerAuthentication':
      return { kind, meta, source, spec: refusedPeerAuthentication(resource?.kind === kind ? resource.spec : null) };
    case 'RequestAuthentication':
      return { kind, meta, source, spec: refusedAuthentication(resource?.kind === kind ? resource.spec : null) };
    case 'EnvoyFilter': {
      const spec = refusedEnvoyFilter(resource?.kind === kind ? resource.spec : null, meta);
      return spec === null ? null : { kind, meta, source, spec };
    }
    default:
      // Where policies of the mesh stand, and how paths are normalized for them, must not be lost to a slip beside it.
      return resource?.kind === 'MeshConfig' ? resource : null;
  }
}
