// Which of our kinds an object is, by `kind` and `apiVersion`. What is none of ours has no effect and is a warning, but
// what was meant to be one of ours is an error, and is read as the kind that was meant: so the last good version of a
// policy whose kind is misspelled stays in force, and where there is none something that lets nobody in.
import type { Fields } from './fields.ts';
import { SECURITY_KINDS } from './security-kind.ts';
import { EXPERIMENTAL_GROUP, OWN_GROUP, servedVersions } from './served-versions.ts';
import { nearest } from './spelling.ts';

/** API groups by kind; any served version is taken. */
const GROUPS: Readonly<Record<string, string>> = {
  Service: '',
  Pod: '',
  Namespace: '',
  ConfigMap: '',
  Secret: '',
  EndpointSlice: 'discovery.k8s.io',
  ServiceEntry: 'networking.istio.io',
  WorkloadEntry: 'networking.istio.io',
  VirtualService: 'networking.istio.io',
  DestinationRule: 'networking.istio.io',
  Sidecar: 'networking.istio.io',
  EnvoyFilter: 'networking.istio.io',
  HTTPRoute: 'gateway.networking.k8s.io',
  ReferenceGrant: 'gateway.networking.k8s.io',
  Telemetry: 'telemetry.istio.io',
  PeerAuthentication: 'security.istio.io',
  AuthorizationPolicy: 'security.istio.io',
  RequestAuthentication: 'security.istio.io',
  XBackendTrafficPolicy: EXPERIMENTAL_GROUP,
  RateLimitPolicy: OWN_GROUP,
  ResiliencePolicy: OWN_GROUP,
  Extension: OWN_GROUP,
};
/** Of our groups, not followed, and spelled nearly like one of ours. */
const NEIGHBOURS: ReadonlySet<string> = new Set(['TCPRoute', 'UDPRoute', 'TLSRoute', 'GRPCRoute']);
/** Groups of which we know every kind: whatever else is written there is a slip. */
const WHOLE_GROUPS: ReadonlySet<string> = new Set(['security.istio.io', OWN_GROUP]);
const KINDS = [...Object.keys(GROUPS), 'MeshConfig'];

/** The kind when it is, or was meant to be, one of ours; null with a Problem when it is not. */
export function readObjectKind(fields: Fields): string | null {
  const written = fields.text('kind');
  const apiVersion = fields.text('apiVersion');
  if (written === '') {
    fields.error('kind', 'kind is missing', 'add apiVersion: and kind:');
    return null;
  }
  if (written === 'MeshConfig') return written;
  const slash = apiVersion.lastIndexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const kind = GROUPS[written] === undefined ? meantKind(fields, written, group) : written;
  if (kind === null || kind === 'MeshConfig') return kind;
  return checkVersion(fields, kind, { apiVersion, group }) ? kind : null;
}

/** What a kind that is not known was meant to be; null: it is not for us, or nobody can tell. */
function meantKind(fields: Fields, written: string, group: string): string | null {
  const guess = NEIGHBOURS.has(written) ? null : nearest(written, KINDS);
  const nearGroup = group === '' ? '' : nearest(group, Object.values(GROUPS));
  // Kinds of strangers may be called nearly like ours; with our group, or none, it is a slip.
  const isOurs = guess !== null && (nearGroup === GROUPS[guess] || (group === '' && SECURITY_KINDS.has(guess)));
  const isList = /list$/i.test(written);
  if (isOurs || isList || (nearGroup !== null && WHOLE_GROUPS.has(nearGroup))) {
    const remedy = isList
      ? 'write items:'
      : guess === null
        ? `write one of ${KINDS.join(', ')}`
        : `did you mean ${guess}?`;
    fields.error('kind', isList ? `${written} has no items` : `the kind ${written} is not known`, remedy);
    return isOurs ? guess : null;
  }
  const remedy = guess === null ? 'remove it from the rules' : `did you mean ${guess}?`;
  fields.warning('kind', `the kind ${written} is not known and has no effect`, remedy);
  return null;
}

/** False when the object is none of ours. */
function checkVersion(
  fields: Fields,
  kind: string,
  { apiVersion, group }: { readonly apiVersion: string; readonly group: string },
): boolean {
  const known = GROUPS[kind] ?? '';
  const versions = servedVersions(kind, known);
  const wanted = known === '' ? 'v1' : `${known}/${versions[0] ?? 'v1'}`;
  if (apiVersion === '') {
    fields.error('apiVersion', 'apiVersion is missing', `add apiVersion: ${wanted}`);
    return true;
  }
  if (group !== known) {
    const message = `the kind ${kind} of group "${group}" is not known`;
    const remedy = `write apiVersion: ${wanted}`;
    if (kind === 'Service' && group !== '') fields.warning('apiVersion', `${message} and has no effect`, remedy);
    else fields.error('apiVersion', message, remedy);
    // Others have policies of the same names: only a slip in our group means ours.
    return SECURITY_KINDS.has(kind) && (group === '' || nearest(group, Object.values(GROUPS)) !== null);
  }
  const version = apiVersion.slice(apiVersion.lastIndexOf('/') + 1);
  if (!versions.includes(version))
    fields.error('apiVersion', `version "${version}" is not served`, `write one of ${versions.join(', ')}`);
  return true;
}
