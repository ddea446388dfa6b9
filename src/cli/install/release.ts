// What all objects of a release have in common: names, labels, and where they are. An object with these labels is ours;
// one without them is somebody else's, and is neither changed nor removed.
import type { JsonObject } from '@bufbuild/protobuf';
import type { ReleaseValues } from './release-values.ts';

export interface Release {
  readonly values: ReleaseValues;
  readonly namespace: string;
  /** `app.kubernetes.io/instance`: the name of the Helm release, `outrigger` without Helm. */
  readonly instance: string;
  /** `app.kubernetes.io/managed-by`: `Helm`, or the command line's field manager. */
  readonly managedBy: string;
}

export interface ReleaseObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** Deployment, Service, ServiceAccount and whatever else there is one of. */
export const CONTROL = 'outrigger-control';
export const CLI_MANAGER = 'outrigger-cli';
export const DEFAULT_NAMESPACE = 'outrigger-system';
export const RELEASE_VERSION = '0.1.0';

/** Of pods of the control service; a Deployment's selector never changes. */
export const SELECTOR = Object.freeze({
  'app.kubernetes.io/name': 'outrigger',
  'app.kubernetes.io/component': 'control',
});

export function labelsOf({ instance, managedBy }: Release, component: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'outrigger',
    'app.kubernetes.io/instance': instance,
    'app.kubernetes.io/version': RELEASE_VERSION,
    'app.kubernetes.io/component': component,
    'app.kubernetes.io/part-of': 'outrigger',
    'app.kubernetes.io/managed-by': managedBy,
  };
}

export interface Named {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** `control` by default. */
  readonly component?: string;
  readonly isClusterWide?: boolean;
}

export function releaseObject(release: Release, named: Named, fields: JsonObject): ReleaseObject {
  const { apiVersion, kind, name, component = 'control', isClusterWide = false } = named;
  const metadata = {
    name,
    ...(isClusterWide ? {} : { namespace: release.namespace }),
    labels: labelsOf(release, component),
  };
  return { apiVersion, kind, metadata, ...fields };
}
