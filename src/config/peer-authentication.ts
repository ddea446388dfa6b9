// PeerAuthentication (security.istio.io): whether workloads take mutual TLS, plaintext or both, for the mesh (root
// namespace), a namespace, or the workloads that a selector names, there also for single ports.
// Source: istio/security/v1beta1/peer_authentication.proto.
import { refuseEmptyFields } from './empty-field.ts';
import type { Fields } from './fields.ts';
import { EVERY_WORKLOAD, readLabels, type WorkloadSelector } from './workload-selector.ts';

export const MTLS_MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;
/** Without UNSET, which is what a wider policy says. */
export type MtlsMode = Exclude<(typeof MTLS_MODES)[number], 'UNSET'>;

export interface PeerAuthenticationSpec {
  readonly selector: WorkloadSelector;
  /** Null: what a wider policy says. */
  readonly mode: MtlsMode | null;
  /** By port of the workload; null as above. */
  readonly ports: ReadonlyMap<number, MtlsMode | null>;
}

const PORT_MAX = 65_535;

export function readPeerAuthenticationSpec(fields: Fields): PeerAuthenticationSpec {
  // A policy that is not read as it was meant would let plaintext in.
  fields.refuseUnknown();
  refuseEmptyFields(fields, ['selector', 'mtls', 'portLevelMtls']);
  const labels = fields.object('selector', readLabels);
  const mode = fields.object('mtls', readMode);
  fields.object('portLevelMtls', (own) => {
    refuseEmptyFields(own, own.names());
    own.ignore(...own.names());
  });
  const ports = new Map<number, MtlsMode | null>();
  for (const [name, portMode] of fields.objectMap('portLevelMtls', readMode)) {
    const port = Number(name);
    if (/^\d+$/.test(name) && port >= 1 && port <= PORT_MAX) ports.set(port, portMode);
    else
      fields.error(
        'portLevelMtls',
        `${JSON.stringify(name)} is not a port`,
        'write the number of a port of the workload',
      );
  }
  const isSelecting = labels !== null && labels.size > 0;
  if (ports.size > 0 && !isSelecting)
    fields.error('portLevelMtls', 'ports are those of chosen workloads', 'add selector: { matchLabels: { app: … } }');
  return { selector: isSelecting ? { labels, targets: [] } : EVERY_WORKLOAD, mode, ports };
}

/**
 * What is in force where a policy was refused that never had a good version: for whoever it was meant for, no plaintext.
 * Its ports may have been meant to be open; they are closed too.
 */
export function refusedPeerAuthentication(read: PeerAuthenticationSpec | null): PeerAuthenticationSpec {
  return { selector: read?.selector ?? EVERY_WORKLOAD, mode: 'STRICT', ports: new Map() };
}

function readMode(fields: Fields): MtlsMode | null {
  fields.refuseUnknown();
  refuseEmptyFields(fields, ['mode']);
  const mode = fields.choice('mode', MTLS_MODES);
  return mode === 'UNSET' ? null : mode;
}
