// A kind of object of the API server: where it is served, and the paths of its collections and objects.

export interface KubeKind {
  /** Empty: the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** `virtualservices`: how paths and RBAC rules name it. */
  readonly plural: string;
  readonly isNamespaced: boolean;
}

/** Which object: `namespace` is empty for kinds that have none. */
export interface KubeName {
  readonly namespace: string;
  readonly name: string;
}

export function apiVersionOf({ group, version }: KubeKind): string {
  return group === '' ? version : `${group}/${version}`;
}

/** All of them, or those of one namespace. */
export function collectionPath(kind: KubeKind, namespace = ''): string {
  const within = namespace === '' || !kind.isNamespaced ? '' : `namespaces/${encodeURIComponent(namespace)}/`;
  return `${groupPath(kind)}/${within}${kind.plural}`;
}

/** `subresource`: `status`, `token`; empty for the object itself. */
export function objectPath(kind: KubeKind, { namespace, name }: KubeName, subresource = ''): string {
  const path = `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
  return subresource === '' ? path : `${path}/${subresource}`;
}

export function groupPath(kind: KubeKind): string {
  return kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
}

/** `pods`, `virtualservices.networking.istio.io`: how RBAC and kubectl call it. */
export function resourceName({ plural, group }: KubeKind): string {
  return group === '' ? plural : `${plural}.${group}`;
}
