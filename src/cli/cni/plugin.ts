// The CNI plugin: brings the connections of injected pods to their sidecars, from the node, so that no container of the
// pod needs NET_ADMIN. Chained after the plugin that makes the network, whose result it passes on. What a pod wants is
// read from the API server; when that cannot be asked, the runtime is told to try again: a pod that begins without its
// redirect would send past its sidecar. The rules go with the namespace, so DEL has nothing to do.
import { spawn } from 'node:child_process';
import { PROXY_CONTAINER, INIT_CONTAINER } from '../../control/injection/containers.ts';
import { podFacts } from '../../control/injection/pod-facts.ts';
import { STATUS } from '../../control/injection/pod-injection.ts';
import { PodSettingsReader } from '../../control/injection/pod-settings.ts';
import { KubeClient } from '../../kube/client.ts';
import { listOf, recordOf, type JsonRecord } from '../../kube/json-record.ts';
import { kubeconfigAccess } from '../../kube/kubeconfig.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import { CNI_CODES, CniFault, readCniCall, versionAnswer, type CniCall } from './network-config.ts';
import { IMAGE_VARIABLE } from './node-program.ts';

export interface CniOutcome {
  readonly exitCode: 0 | 1;
  /** For standard output; empty: nothing. */
  readonly output: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export async function runCni(environment: Environment, input: string): Promise<CniOutcome> {
  let cniVersion = '1.0.0';
  try {
    const call = readCniCall(environment, input);
    cniVersion = call.cniVersion;
    const answer = await act(call);
    return { exitCode: 0, output: answer === null ? '' : `${JSON.stringify(answer)}\n` };
  } catch (cause) {
    const code = cause instanceof CniFault ? cause.code : 999;
    const msg = `outrigger cni: ${cause instanceof Error ? cause.message : String(cause)}`;
    return { exitCode: 1, output: `${JSON.stringify({ cniVersion, code, msg })}\n` };
  }
}

async function act(call: CniCall): Promise<JsonRecord | null> {
  const { operation, previous, cniVersion } = call;
  if (operation === 'VERSION') return versionAnswer(cniVersion);
  if (operation !== 'ADD' && operation !== 'CHECK') return null;
  const { pod, excludedNamespaces } = call;
  const isPod = pod.name !== '' && !excludedNamespaces.includes(pod.namespace);
  const flags = isPod ? redirectFlags(await readPod(call)) : null;
  if (flags !== null) await redirect(operation === 'ADD' ? 'install' : 'verify', flags, call.netns);
  return operation === 'ADD' && previous !== null ? { ...previous, cniVersion } : null;
}

async function readPod({ kubeconfig, pod }: CniCall): Promise<JsonRecord> {
  const access = await kubeconfigAccess({ path: kubeconfig, environment: {} });
  if (typeof access === 'string') throw new CniFault(CNI_CODES.config, access);
  const client = new KubeClient({ access, userAgent: 'outrigger-cni' });
  const answer = await client.get(KNOWN_KINDS.pod, pod);
  await client.close();
  if (answer.kind === 'done') return answer.value;
  throw new CniFault(CNI_CODES.tryLater, `the pod ${pod.namespace}/${pod.name}: ${answer.failure.message}`);
}

/** Null: it is not injected, or something else redirects it, or nothing shall. */
export function redirectFlags(pod: JsonRecord): readonly string[] | null {
  const facts = podFacts(pod);
  if (!facts.values.has(STATUS) || facts.containers.has(INIT_CONTAINER) || facts.isOnHostNetwork) return null;
  const spec = recordOf(pod['spec']);
  const containers = [...listOf(spec['initContainers']), ...listOf(spec['containers'])].map(recordOf);
  const proxy = containers.find(({ name }) => name === PROXY_CONTAINER);
  if (!listOf(proxy?.['args']).includes('--mode=redirect')) return null;
  const reader = new PodSettingsReader(facts.values);
  const { redirect: settings } = reader.read();
  const [fault] = reader.faults;
  if (fault !== undefined) throw new CniFault(CNI_CODES.redirect, `${fault.name}: ${fault.message}`);
  return [...settings].map(([name, value]) => `--${name}=${value}`);
}

/** In the pod's network namespace, with the programs of the node, or of the copy of the image that we run from. */
async function redirect(action: 'install' | 'verify', flags: readonly string[], netns: string): Promise<void> {
  const image = process.env[IMAGE_VARIABLE] ?? '';
  const program =
    image === ''
      ? [process.execPath, ...process.execArgv, process.argv[1] ?? '']
      : ['chroot', image, '/usr/bin/node', '/app/bin/outrigger.js'];
  const child = spawn('nsenter', [`--net=${netns}`, '--', ...program, 'redirect', action, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < 4096) said += text;
    });
  const code = await new Promise<number>((resolve) => {
    child.once('error', (cause) => {
      said += cause.message;
      resolve(127);
    });
    child.once('close', (status) => resolve(status ?? 1));
  });
  if (code !== 0) throw new CniFault(CNI_CODES.redirect, `redirect ${action}: ${said.trim().replaceAll('\n', '; ')}`);
}
