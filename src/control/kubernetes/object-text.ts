// What of an object of the API server the readers of `config` are shown: no managedFields, not the copy that kubectl keeps
// in an annotation, and of a Pod the few fields that say where it is and who it is. A cluster has a thousand Pods with
// templates of hundreds of lines each.
import { TOKEN_VOLUME } from '../injection/identity-volumes.ts';
import { STATUS, TLS_MODE } from '../injection/pod-injection.ts';
import type { KubeObject } from '../../kube/kube-object.ts';
import { isJsonRecord, listOf, recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';

const KUBECTL_COPY = 'kubectl.kubernetes.io/last-applied-configuration';

/** What it is called in Problems. */
export function objectName({ kind, metadata: { namespace, name } }: KubeObject): string {
  return `kubernetes:${kind}/${namespace === '' ? '' : `${namespace}/`}${name}`;
}

export function shownObject(object: KubeObject): JsonRecord {
  const { annotations, ...metadata } = object.metadata;
  const { [KUBECTL_COPY]: _copy, ...kept } = annotations;
  return { ...object, metadata: { ...plainMeta(metadata), annotations: kept } };
}

/** `locality`: where its Node is, `region.zone`; empty: not known. A label of its own comes first. */
export function shownPod(object: KubeObject, locality: string): JsonRecord {
  const { name, namespace, creationTimestamp } = object.metadata;
  const labels = podLabels(object);
  const spec = recordOf(object['spec']);
  const status = recordOf(object['status']);
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: {
      name,
      namespace,
      creationTimestamp,
      labels: locality === '' ? labels : { 'istio-locality': locality, ...labels },
    },
    spec: {
      serviceAccountName: textOf(spec['serviceAccountName']),
      nodeName: textOf(spec['nodeName']),
      containers: listOf(spec['containers']).map((container) => ({ ports: listOf(recordOf(container)['ports']) })),
    },
    status: {
      podIP: textOf(status['podIP']),
      phase: textOf(status['phase']),
      conditions: listOf(status['conditions']).filter((one) => isJsonRecord(one) && one['type'] === 'Ready'),
    },
  };
}

/** A pod that was injected as text has no label that says so: its annotation and its token do. */
export function podLabels({
  metadata: { labels, annotations },
  ...object
}: KubeObject): KubeObject['metadata']['labels'] {
  if (annotations[STATUS] === undefined || labels[TLS_MODE] !== undefined) return labels;
  const volumes = listOf(recordOf(object['spec'])['volumes']).map((volume) => recordOf(volume)['name']);
  return volumes.includes(TOKEN_VOLUME) ? { ...labels, [TLS_MODE]: 'istio' } : labels;
}

function plainMeta(metadata: Omit<KubeObject['metadata'], 'annotations'>): JsonRecord {
  const { name, namespace, labels, creationTimestamp, generation } = metadata;
  return { name, ...(namespace === '' ? {} : { namespace }), labels, creationTimestamp, generation };
}
