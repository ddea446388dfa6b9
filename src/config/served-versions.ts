// The versions in which API servers serve the kinds that users write; the first is what to write. A version that none of
// them serves is an error in a file, too: the same file could not be applied to a cluster.
// Sources: Istio's definitions (networking, security, telemetry); upstream's of the Gateway API; ours (config/schema).

/** Of what neither Istio nor the Gateway API has. */
export const OWN_GROUP = 'outrigger.dev';
/** Of the Gateway API's experimental kinds. */
export const EXPERIMENTAL_GROUP = 'gateway.networking.x-k8s.io';

const BY_GROUP: Readonly<Record<string, readonly string[]>> = {
  'networking.istio.io': ['v1', 'v1beta1', 'v1alpha3'],
  'security.istio.io': ['v1', 'v1beta1'],
  'telemetry.istio.io': ['v1', 'v1alpha1'],
  [OWN_GROUP]: ['v1alpha1'],
  [EXPERIMENTAL_GROUP]: ['v1alpha1'],
};
/** Kinds that are served in fewer versions than their group. */
const BY_KIND: Readonly<Record<string, readonly string[]>> = { EnvoyFilter: ['v1alpha3'] };
/** Of core kinds and the Gateway API, whose versions come and go. */
const OTHERS = ['v1', 'v1beta1', 'v1alpha3', 'v1alpha1', 'v1alpha2'];

export function servedVersions(kind: string, group: string): readonly string[] {
  return BY_KIND[kind] ?? BY_GROUP[group] ?? OTHERS;
}
