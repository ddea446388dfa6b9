// The control service as a workload: Deployment, Service, and what keeps enough of it running. It runs as nobody, on a
// read-only file system, without any capability; 15010 (xDS in plaintext) stays on its loopback.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { CONTROL, SELECTOR, labelsOf, releaseObject, type Release, type ReleaseObject } from './release.ts';

const PORTS = [
  { name: 'https-xds', containerPort: 15012 },
  { name: 'http-metrics', containerPort: 15014 },
  { name: 'https-webhooks', containerPort: 15017 },
];

export function deployment(release: Release): ReleaseObject {
  const { values } = release;
  return releaseObject(
    release,
    { apiVersion: 'apps/v1', kind: 'Deployment', name: CONTROL },
    {
      spec: {
        ...(values.autoscaling.enabled ? {} : { replicas: values.replicas }),
        revisionHistoryLimit: 5,
        selector: { matchLabels: { ...SELECTOR } },
        // A new one is ready before an old one goes: somebody always serves.
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template: {
          metadata: {
            labels: { ...values.podLabels, ...labelsOf(release, 'control'), 'sidecar.istio.io/inject': 'false' },
            annotations: {
              'prometheus.io/scrape': 'true',
              'prometheus.io/port': '15014',
              'prometheus.io/path': '/metrics',
              'kubectl.kubernetes.io/default-container': 'control',
              ...values.podAnnotations,
            },
          },
          spec: podSpec(release),
        },
      },
    },
  );
}

function podSpec(release: Release): JsonObject {
  const { values } = release;
  const spread = ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: { ...SELECTOR } },
  }));
  return {
    serviceAccountName: CONTROL,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1337,
      runAsGroup: 1337,
      fsGroup: 1337,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationGracePeriodSeconds: 30,
    topologySpreadConstraints: spread,
    ...unlessEmpty(
      'imagePullSecrets',
      values.image.pullSecrets.map((name) => ({ name })),
    ),
    ...unlessEmpty('nodeSelector', values.nodeSelector),
    ...unlessEmpty('tolerations', values.tolerations),
    ...unlessEmpty('affinity', values.affinity),
    ...unlessEmpty('priorityClassName', values.priorityClassName),
    containers: [container(release)],
    volumes: [{ name: 'tmp', emptyDir: {} }],
  };
}

function container(release: Release): JsonObject {
  const { image, resources } = release.values;
  return {
    name: 'control',
    image: imageOf(release),
    imagePullPolicy: image.pullPolicy,
    args: [...controlArguments(release)],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
    ],
    ports: PORTS.map((port) => ({ ...port, protocol: 'TCP' })),
    // It answers from the beginning, also while it waits for the API server: then it must not be ended, but is not ready.
    startupProbe: { ...probe('/livez'), periodSeconds: 2, failureThreshold: 60 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 3, timeoutSeconds: 5, failureThreshold: 3 },
    // Slow is not dead: an event loop that is held for seconds must not cost every sidecar its stream.
    livenessProbe: { ...probe('/livez'), periodSeconds: 10, timeoutSeconds: 10, failureThreshold: 6 },
    ...unlessEmpty('resources', {
      ...unlessEmpty('requests', resources.requests),
      ...unlessEmpty('limits', resources.limits),
    }),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
  };
}

function probe(path: string): JsonObject {
  return { httpGet: { path, port: 'http-metrics' } };
}

/** Name and tag, or digest. */
export function imageOf({ values: { image } }: Release): string {
  return image.tag.startsWith('@') ? `${image.repository}${image.tag}` : `${image.repository}:${image.tag}`;
}

function controlArguments(release: Release): readonly string[] {
  const { values, namespace } = release;
  return [
    'control',
    '--kube=in-cluster',
    `--namespace=${namespace}`,
    '--ca-secret=outrigger-ca',
    '--secure=0.0.0.0:15012',
    '--http-address=0.0.0.0:15014',
    '--webhooks=0.0.0.0:15017',
    `--sidecar-image=${imageOf(release)}`,
    `--sidecar-mode=${values.sidecar.mode}`,
    ...(values.sidecar.classic ? ['--sidecar-classic'] : []),
    `--domain=${values.domain}`,
    `--trust-domain=${values.trustDomain}`,
    `--log-level=${values.logLevel}`,
    ...values.extraArguments,
  ];
}

export function service(release: Release): ReleaseObject {
  const ports = [
    { name: 'https-xds', port: 15012, targetPort: 'https-xds', protocol: 'TCP' },
    { name: 'http-metrics', port: 15014, targetPort: 'http-metrics', protocol: 'TCP' },
    { name: 'https-webhooks', port: 443, targetPort: 'https-webhooks', protocol: 'TCP' },
  ];
  const spec = { type: 'ClusterIP', selector: { ...SELECTOR }, ports };
  return releaseObject(release, { apiVersion: 'v1', kind: 'Service', name: CONTROL }, { spec });
}

export function disruptionBudget(release: Release): ReleaseObject {
  const { maxUnavailable } = release.values.podDisruptionBudget;
  return releaseObject(
    release,
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', name: CONTROL },
    { spec: { maxUnavailable, selector: { matchLabels: { ...SELECTOR } } } },
  );
}

export function autoscaler(release: Release): ReleaseObject {
  const { minReplicas, maxReplicas, cpuPercent } = release.values.autoscaling;
  return releaseObject(
    release,
    { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', name: CONTROL },
    {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: CONTROL },
        minReplicas,
        maxReplicas,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: cpuPercent } },
          },
        ],
      },
    },
  );
}

/** Anybody may ask these ports: API servers have no address that a policy could name. All others are closed. */
export function networkPolicy(release: Release): ReleaseObject {
  const ports = PORTS.map(({ containerPort: port }) => ({ port, protocol: 'TCP' }));
  return releaseObject(
    release,
    { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: CONTROL },
    { spec: { podSelector: { matchLabels: { ...SELECTOR } }, policyTypes: ['Ingress'], ingress: [{ ports }] } },
  );
}

export function serviceMonitor(release: Release): ReleaseObject {
  const { interval, labels } = release.values.serviceMonitor;
  const object = releaseObject(
    release,
    { apiVersion: 'monitoring.coreos.com/v1', kind: 'ServiceMonitor', name: CONTROL },
    {
      spec: {
        selector: { matchLabels: { ...SELECTOR } },
        namespaceSelector: { matchNames: [release.namespace] },
        endpoints: [{ port: 'http-metrics', path: '/metrics', interval }],
      },
    },
  );
  return { ...object, metadata: { ...object.metadata, labels: { ...labels, ...object.metadata.labels } } };
}

function unlessEmpty(name: string, value: JsonValue): JsonObject {
  const isEmpty = typeof value === 'object' && value !== null ? Object.keys(value).length === 0 : value === '';
  return isEmpty ? {} : { [name]: value };
}
