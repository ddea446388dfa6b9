// What becomes of one pod when the sidecar is added to it: the containers, the token and the roots that it shows and trusts,
// the label by which others know that it takes mutual TLS. A pod that has it is left as it is, and so is one that did
// not want it or cannot have it. Text is edited elsewhere (cli/inject); here values are.
import { isJsonRecord, listOf, recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';
import { mergedMetrics } from './app-metrics.ts';
import { servedProbes } from './app-probes.ts';
import {
  canonicalLabels,
  INIT_CONTAINER,
  PROBES_VARIABLE,
  PROXY_CONTAINER,
  proxyContainer,
  redirectContainer,
  STATUS_PORT,
  VALIDATION_CONTAINER,
  validationContainer,
} from './containers.ts';
import { IDENTITY_VOLUMES, identityVolumes } from './identity-volumes.ts';
import { podFacts, type PodFacts } from './pod-facts.ts';
import { PodSettingsReader, type PodSettings, type ServingSettings, type SettingFault } from './pod-settings.ts';

export interface InjectionOptions {
  /** `HOST:PORT` of the control service's TLS. */
  readonly control: string;
  readonly image: string;
  /** `cni`: a plugin of the node redirects. */
  readonly mode: 'redirect' | 'explicit' | 'cni';
  /** As a plain container, for clusters before Kubernetes 1.29. */
  readonly isClassic: boolean;
}

export type PodInjection =
  | { readonly kind: 'injected'; readonly pod: JsonRecord; readonly warnings: readonly string[] }
  /** `reason` is empty where the pod, or who injected it before, wanted it so. */
  | { readonly kind: 'left'; readonly reason: string }
  | { readonly kind: 'refused'; readonly faults: readonly SettingFault[] };

/** On a pod that has the sidecar. */
export const STATUS = 'outrigger.dev/status';
export const TLS_MODE = 'security.istio.io/tlsMode';
const OTHERS = [PROXY_CONTAINER, INIT_CONTAINER, VALIDATION_CONTAINER, 'istio-proxy', 'linkerd-proxy'];
const OUTBOUND_PROXY = 'http://127.0.0.1:15001';

/** `workload`: the name of what made the pod, where no label has one. */
export function injectedPod(pod: JsonRecord, workload: string, options: InjectionOptions): PodInjection {
  const facts = podFacts(pod);
  const reader = new PodSettingsReader(facts.values);
  const settings = reader.read();
  if (settings.isWanted === false) return { kind: 'left', reason: '' };
  const serving = reader.readServing();
  if (facts.values.has(STATUS)) return again(pod, serving);
  const reason = obstacle(facts);
  if (reason !== '') return { kind: 'left', reason };
  if (reader.faults.length > 0) return { kind: 'refused', faults: reader.faults };
  const warnings = reader.unread().map((name) => `${name} is not followed by injection, and ignored`);
  return { kind: 'injected', pod: withSidecar(pod, { facts, settings, serving, workload, options }), warnings };
}

function obstacle({ isOnHostNetwork, containers, volumes }: PodFacts): string {
  if (isOnHostNetwork) return 'on the network of its node a redirect would take the traffic of all';
  const other = OTHERS.find((name) => containers.has(name));
  if (other !== undefined) return `it has a container ${other} already`;
  const volume = IDENTITY_VOLUMES.find((name) => volumes.has(name));
  return volume === undefined ? '' : `it has a volume ${volume} already`;
}

/** What another webhook put in after us has probes, too. */
function again(pod: JsonRecord, { isProbed }: ServingSettings): PodInjection {
  const spec = recordOf(pod['spec']);
  const { containers, probes } = servedProbes(listOf(spec['containers']));
  if (!isProbed || Object.keys(probes).length === 0) return { kind: 'left', reason: '' };
  let isServed = false;
  const withMore = (list: readonly unknown[]): readonly unknown[] =>
    list.map((container) => {
      if (!isJsonRecord(container) || container['name'] !== PROXY_CONTAINER) return container;
      // One that was injected without the port stays so.
      if (!listOf(container['args']).includes(`--status=${STATUS_PORT}`)) return container;
      isServed = true;
      return { ...container, env: withProbes(listOf(container['env']), probes) };
    });
  const changed = {
    initContainers: withMore(listOf(spec['initContainers'])),
    containers: withMore(containers),
  };
  if (!isServed) return { kind: 'left', reason: '' };
  return { kind: 'injected', pod: { ...pod, spec: { ...spec, ...changed } }, warnings: [] };
}

function withProbes(env: readonly unknown[], probes: JsonRecord): readonly unknown[] {
  const before = env.map(recordOf).find(({ name }) => name === PROBES_VARIABLE);
  let known: unknown = {};
  try {
    known = JSON.parse(textOf(before?.['value']).replaceAll('$$', '$') || '{}');
  } catch {
    // Somebody wrote over it: what we know now is all that is served.
  }
  const value = JSON.stringify({ ...recordOf(known), ...probes }).replaceAll('$', '$$$$');
  return [...env.filter((entry) => entry !== before), { name: PROBES_VARIABLE, value }];
}

interface Parts {
  readonly facts: PodFacts;
  readonly settings: PodSettings;
  readonly serving: ServingSettings;
  readonly workload: string;
  readonly options: InjectionOptions;
}

function withSidecar(pod: JsonRecord, { facts, settings, serving, workload, options }: Parts): JsonRecord {
  const metadata = recordOf(pod['metadata']);
  const spec = recordOf(pod['spec']);
  const { control, image } = options;
  const mode = settings.isCaptured && options.mode !== 'explicit' ? 'redirect' : 'explicit';
  const isNative = settings.isNative ?? !options.isClassic;
  const plain = listOf(spec['containers']);
  const { containers: probed, probes } = serving.isProbed
    ? servedProbes(plain)
    : { containers: plain, probes: recordOf(null) };
  const metrics = serving.isMerged ? mergedMetrics(facts.values) : { annotations: {}, scrape: '' };
  const served = {
    probes: Object.keys(probes).length === 0 ? '' : JSON.stringify(probes),
    scrape: metrics.scrape,
  };
  const inputs = { settings, facts, workload, control, image, mode, isNative, serving: served } as const;
  const proxy = proxyContainer(inputs);
  const redirecting = options.mode === 'cni' ? validationContainer : redirectContainer;
  const first = mode === 'redirect' ? [redirecting(inputs)] : [];
  const apps = probed.map((container) => (mode === 'explicit' ? throughProxy(container) : container));
  const added = { initContainers: isNative ? [...first, proxy] : first, containers: isNative ? [] : [proxy] };
  const names = Object.fromEntries(
    Object.entries(added).map(([list, containers]) => [list, containers.map((one) => recordOf(one)['name'])]),
  );
  return {
    ...pod,
    metadata: {
      ...metadata,
      labels: { [TLS_MODE]: 'istio', ...canonicalLabels(facts, workload), ...recordOf(metadata['labels']) },
      annotations: {
        ...defaultContainer(plain),
        ...recordOf(metadata['annotations']),
        ...metrics.annotations,
        [STATUS]: JSON.stringify({ ...names, volumes: IDENTITY_VOLUMES }),
      },
    },
    spec: {
      ...spec,
      ...(added.initContainers.length + listOf(spec['initContainers']).length === 0
        ? {}
        : { initContainers: [...added.initContainers, ...listOf(spec['initContainers'])] }),
      containers: [...added.containers, ...apps],
      volumes: [...listOf(spec['volumes']), ...identityVolumes()],
    },
  };
}

/** So that `kubectl logs` and `exec` mean the app. */
function defaultContainer(apps: readonly unknown[]): JsonRecord {
  const name = textOf(recordOf(apps[0])['name']);
  return { 'kubectl.kubernetes.io/default-container': name, 'kubectl.kubernetes.io/default-logs-container': name };
}

/** An app that nothing is redirected for is told where its sidecar is, unless it says itself. */
function throughProxy(container: unknown): unknown {
  if (!isJsonRecord(container)) return container;
  const env = listOf(container['env']);
  const has = (name: string): boolean => env.some((entry) => recordOf(entry)['name'] === name);
  const wanted = { HTTP_PROXY: OUTBOUND_PROXY, http_proxy: OUTBOUND_PROXY, NO_PROXY: 'localhost,127.0.0.1,::1' };
  const more = Object.entries(wanted).filter(([name]) => !has(name));
  return { ...container, env: [...env, ...more.map(([name, value]) => ({ name, value }))] };
}
