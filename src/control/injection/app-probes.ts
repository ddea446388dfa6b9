// The probes of an app, given to its sidecar: a kubelet shows no certificate, so where mutual TLS is a must its probes would
// fail at the door. Each is written down in Istio's format (ISTIO_KUBE_APP_PROBERS) under a path of the sidecar's own
// port, and asks there instead. Left alone: `exec`, what names another host, and ports that no container has.
import { isJsonRecord, listOf, recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';
import { PROXY_CONTAINER, STATUS_PORT } from './containers.ts';

const PROBES = [
  ['livenessProbe', 'livez'],
  ['readinessProbe', 'readyz'],
  ['startupProbe', 'startupz'],
] as const;
const OWN_PATH = '/app-health/';

export interface ServedProbes {
  readonly containers: readonly unknown[];
  /** By the path that is asked now. */
  readonly probes: JsonRecord;
}

/** Again, it finds nothing to do: what asks the sidecar already stays. */
export function servedProbes(containers: readonly unknown[]): ServedProbes {
  const probes: Record<string, unknown> = {};
  const rewritten = containers.map((container) => {
    if (!isJsonRecord(container) || container['name'] === PROXY_CONTAINER) return container;
    const changed: Record<string, unknown> = {};
    for (const [field, word] of PROBES) {
      const probe = container[field];
      const asked = isJsonRecord(probe) ? questionOf(probe, listOf(container['ports'])) : null;
      if (!isJsonRecord(probe) || asked === null) continue;
      const path = `${OWN_PATH}${textOf(container['name'])}/${word}`;
      probes[path] = { ...asked, timeoutSeconds: probe['timeoutSeconds'] ?? 1 };
      const { httpGet: _, tcpSocket: __, grpc: ___, ...settings } = probe;
      changed[field] = { ...settings, httpGet: { path, port: STATUS_PORT, scheme: 'HTTP' } };
    }
    return Object.keys(changed).length === 0 ? container : { ...container, ...changed };
  });
  return { containers: rewritten, probes };
}

/** What the sidecar is to ask, with the port as a number; null: it cannot, or does already. */
function questionOf(probe: JsonRecord, ports: readonly unknown[]): JsonRecord | null {
  for (const name of ['httpGet', 'tcpSocket', 'grpc']) {
    const handler = probe[name];
    if (!isJsonRecord(handler)) continue;
    const port = portOf(handler['port'], ports);
    const isOwn = port === STATUS_PORT && textOf(handler['path']).startsWith(OWN_PATH);
    // The host of a probe is where a kubelet goes, which need not be this pod.
    return port === 0 || isOwn || textOf(handler['host']) !== '' ? null : { [name]: { ...handler, port } };
  }
  return null;
}

/** 0: there is none of that name. */
function portOf(port: unknown, ports: readonly unknown[]): number {
  if (typeof port === 'number') return port;
  if (/^\d+$/.test(textOf(port))) return Number(port);
  const named = ports.map(recordOf).find(({ name }) => name === port);
  const number = named?.['containerPort'];
  return typeof number === 'number' ? number : 0;
}
