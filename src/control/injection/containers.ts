// The containers that injection adds to a pod: the sidecar, and before it the step that redirects the pod's
// connections. Only that step has capabilities and runs as root; the sidecar is user 1337, which the redirect
// leaves alone, and can write nothing.
import { identityMounts } from './identity-volumes.ts';
import type { PodFacts } from './pod-facts.ts';
import type { PodSettings } from './pod-settings.ts';
import type { Written } from './written.ts';

export const PROXY_CONTAINER = 'outrigger-proxy';
export const INIT_CONTAINER = 'outrigger-init';
export const VALIDATION_CONTAINER = 'outrigger-validation';

/** As the image's entry point has it: a hook knows no entry point, and there is no shell. */
const PROGRAM = ['/usr/bin/node', '/app/bin/outrigger.js'];
const PROXY_ID = 1337;
/** Anybody but the sidecar, whose connections nobody redirects. */
const VALIDATION_ID = 1338;
/** What the level `restricted` of Pod Security asks for. */
const UNPRIVILEGED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  privileged: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
} as const;
/** Whose answers are those of the whole pod. */
export const STATUS_PORT = 15_020;
export const PROBES_VARIABLE = 'ISTIO_KUBE_APP_PROBERS';
const SCRAPE_VARIABLE = 'ISTIO_PROMETHEUS_ANNOTATIONS';
const METRICS_PORT = 15_090;
/** For the control service alone. */
const PAGES_PORT = 15_022;
const VERSION_LABELS = ['service.istio.io/canonical-revision', 'app.kubernetes.io/version', 'version'];
const NAME_LABELS = ['service.istio.io/canonical-name', 'app.kubernetes.io/name', 'app'];

export interface ContainerInputs {
  readonly settings: PodSettings;
  readonly facts: PodFacts;
  /** The name of the workload, where no label has one. */
  readonly workload: string;
  readonly control: string;
  readonly image: string;
  readonly mode: 'redirect' | 'explicit';
  readonly isNative: boolean;
  /** What the sidecar does for its app on 15020; null: nothing. */
  readonly serving: Serving | null;
}

export interface Serving {
  /** JSON, in Istio's formats of the environment variables that they become; empty: none. */
  readonly probes: string;
  readonly scrape: string;
}

export function redirectContainer({ settings, image }: ContainerInputs): Written {
  const flags = [...settings.redirect].map(([name, value]) => `--${name}=${value}`);
  return {
    name: INIT_CONTAINER,
    image: settings.image === '' ? image : settings.image,
    args: ['redirect', 'install', ...flags],
    resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { cpu: '2', memory: '1Gi' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: false,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

/** In place of the step that redirects, where a CNI plugin has done it: without its work the pod does not begin. */
export function validationContainer({ settings, image }: ContainerInputs): Written {
  const flags = [...settings.redirect].map(([name, value]) => `--${name}=${value}`);
  return {
    name: VALIDATION_CONTAINER,
    image: settings.image === '' ? image : settings.image,
    args: ['redirect', 'probe', ...flags],
    resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { cpu: '2', memory: '1Gi' } },
    securityContext: { ...UNPRIVILEGED, runAsGroup: VALIDATION_ID, runAsUser: VALIDATION_ID },
  };
}

export function proxyContainer(inputs: ContainerInputs): Written {
  const { settings, image, isNative, serving } = inputs;
  const { readinessPort } = settings;
  const probe = {
    httpGet: { path: '/healthz/ready', port: readinessPort },
    initialDelaySeconds: settings.probe.get('initialDelaySeconds') ?? 0,
    periodSeconds: settings.probe.get('periodSeconds') ?? (isNative ? 1 : 15),
    timeoutSeconds: 3,
    failureThreshold: settings.probe.get('failureThreshold') ?? (isNative ? 600 : 4),
  };
  const probes: Record<string, Written> =
    readinessPort === 0 ? {} : { [isNative ? 'startupProbe' : 'readinessProbe']: probe };
  return {
    name: PROXY_CONTAINER,
    image: settings.image === '' ? image : settings.image,
    ...(isNative ? { restartPolicy: 'Always' } : {}),
    args: proxyArgs(inputs),
    env: [
      fromField('POD_NAME', 'metadata.name'),
      fromField('POD_NAMESPACE', 'metadata.namespace'),
      fromField('INSTANCE_IP', 'status.podIP'),
      fromField('INSTANCE_IPS', 'status.podIPs'),
      fromField('HOST_IP', 'status.hostIP'),
      fromField('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
      ...verbatim(PROBES_VARIABLE, serving?.probes ?? ''),
      ...verbatim(SCRAPE_VARIABLE, serving?.scrape ?? ''),
    ],
    ports: [{ name: 'outrigger-prom', containerPort: METRICS_PORT, protocol: 'TCP' }],
    ...probes,
    // A native sidecar ends after the app: without this, others would hear of the end only then.
    ...(isNative ? { lifecycle: { preStop: { exec: { command: [...PROGRAM, 'drain'] } } } } : {}),
    resources: settings.resources,
    securityContext: { ...UNPRIVILEGED, runAsGroup: PROXY_ID, runAsUser: PROXY_ID },
    volumeMounts: identityMounts(),
  };
}

/** As dashboards know a workload; what a label cannot hold is left out. */
export function canonicalLabels({ labels }: PodFacts, workload: string): Readonly<Record<string, string>> {
  const name = firstOf(labels, NAME_LABELS) || workload;
  const revision = firstOf(labels, VERSION_LABELS) || 'latest';
  return {
    ...(/^[a-zA-Z0-9](?:[-\w.]{0,61}[a-zA-Z0-9])?$/.test(name) ? { 'service.istio.io/canonical-name': name } : {}),
    'service.istio.io/canonical-revision': revision,
  };
}

function proxyArgs({ settings, facts, workload, control, mode, serving }: ContainerInputs): readonly string[] {
  const version = firstOf(facts.labels, VERSION_LABELS);
  // A dot would begin the namespace.
  const named = firstOf(facts.labels, NAME_LABELS);
  const service = named === '' || named.includes('.') ? workload : named;
  const labels = [...facts.labels].filter(([name]) => name !== 'app' && name !== 'version');
  return [
    'sidecar',
    `--control=${control}`,
    `--service=${service.replaceAll('.', '-')}.$(POD_NAMESPACE)`,
    ...(version === '' ? [] : [`--version=${version}`]),
    ...labels.map(([name, value]) => `--label=${name}=${value}`),
    ...facts.ports.map(({ port, protocol }) => `--app=${port}/${protocol}`),
    `--mode=${mode}`,
    '--address=$(INSTANCE_IPS)',
    ...(settings.readinessPort === 0 ? [] : [`--readiness=${settings.readinessPort}`]),
    `--metrics=${METRICS_PORT}`,
    ...(serving === null ? [] : [`--status=${STATUS_PORT}`, `--pages=${PAGES_PORT}`]),
    ...(settings.logLevel === '' ? [] : [`--log-level=${settings.logLevel}`]),
  ];
}

/** `$(` would be read as the name of another variable. */
function verbatim(name: string, value: string): readonly Written[] {
  return value === '' ? [] : [{ name, value: value.replaceAll('$', '$$$$') }];
}

function firstOf(labels: ReadonlyMap<string, string>, names: readonly string[]): string {
  return names.map((name) => labels.get(name) ?? '').find((value) => value !== '') ?? '';
}

function fromField(name: string, fieldPath: string): Written {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}
