// How a pod's sidecar proves who it is, and knows whom to trust: a token of the pod's account for the control service alone,
// and the roots of the mesh. Under Istio's names and in Istio's places, where sidecars look without being told.
import type { Written } from './written.ts';

export const TOKEN_VOLUME = 'istio-token';
const ROOTS_VOLUME = 'istiod-ca-cert';
const TOKEN_SECONDS = 43_200;
const TOKEN_AUDIENCE = 'istio-ca';
const ROOTS_CONFIG_MAP = 'istio-ca-root-cert';

/** Their names. */
export const IDENTITY_VOLUMES: readonly string[] = [TOKEN_VOLUME, ROOTS_VOLUME];

export function identityVolumes(): readonly Written[] {
  const token = { audience: TOKEN_AUDIENCE, expirationSeconds: TOKEN_SECONDS, path: TOKEN_VOLUME };
  return [
    { name: TOKEN_VOLUME, projected: { sources: [{ serviceAccountToken: token }] } },
    { name: ROOTS_VOLUME, configMap: { name: ROOTS_CONFIG_MAP } },
  ];
}

export function identityMounts(): readonly Written[] {
  return [
    { name: TOKEN_VOLUME, mountPath: '/var/run/secrets/tokens', readOnly: true },
    { name: ROOTS_VOLUME, mountPath: '/var/run/secrets/istio', readOnly: true },
  ];
}
