// The section `fallback` of a ResiliencePolicy: who takes the requests for a service when too few of its instances
// are healthy, in this order. Istio's users ask for it since 2022 (istio#38105); Envoy has it as aggregate clusters.
import type { Fields } from './fields.ts';

export interface FallbackHost {
  /** A host of the mesh, as in a destination: short names are of the policy's namespace. */
  readonly host: string;
  /** Null: the port that was asked for, or the only one that the host has. */
  readonly port: number | null;
  /** Of the host's DestinationRule; empty is all of it. */
  readonly subset: string;
}

export interface FallbackSection {
  readonly kind: 'fallback';
  /** At least one. */
  readonly hosts: readonly FallbackHost[];
}

export function readFallbackSection(fields: Fields): FallbackSection {
  const hosts = fields.list('hosts', (entry) => {
    entry.refuseUnknown();
    return {
      host: entry.requiredText('host', 'add host: with the name of a service'),
      port: entry.port('port'),
      subset: entry.text('subset'),
    };
  });
  if (hosts.length === 0) fields.error('hosts', 'there is nobody to fall back to', 'add hosts: [{ host: spare }]');
  return { kind: 'fallback', hosts };
}
