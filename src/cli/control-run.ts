// Runs the control service for the command line until a signal ends it. Exit codes: 0 ended as asked, 1 it
// could not start, 64 a wrong option.
import { stat } from 'node:fs/promises';
import { systemClock } from '../base/clock.ts';
import { LOG_LEVELS, createLog, type Log } from '../base/log.ts';
import { ControlService } from '../control/control.ts';
import { parseTracing } from '../control/given-tracing.ts';
import type { GivenTracing } from '../control/given-tracing.ts';
import { clusterOf, type Cluster } from './kube-flags.ts';
import { secureOptions } from './control-secure.ts';
import { startWebhooks, webhookMistake } from './control-webhooks.ts';
import type { KubernetesRules } from '../control/kubernetes/kubernetes-rules.ts';
import type { Leadership } from '../control/kubernetes/leadership.ts';
import type { Webhooks } from '../control/kubernetes/webhooks.ts';
import type { ControlFlags } from './control.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const ADDRESS = /^(?:\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/;

export async function runControl(flags: ControlFlags): Promise<number> {
  const xdsAddress = flags.xds ?? flags.xdsAddress;
  const httpAddress = flags.http ?? flags.httpAddress;
  for (const address of [xdsAddress, httpAddress])
    if (!ADDRESS.test(address)) return wrong(`"${address}" is not host:port`);
  const debounceMs = Number(flags.debounceMs);
  const settleMs = Number(flags.settleMs);
  const onDemandAbove = Number(flags.onDemandAbove);
  if (![debounceMs, settleMs].every((ms) => Number.isFinite(ms) && ms >= 0))
    return wrong('--debounce-ms and --settle-ms take milliseconds');
  if (!Number.isInteger(onDemandAbove) || onDemandAbove < 0) return wrong('--on-demand-above takes a number of hosts');
  const level = LOG_LEVELS.find((known) => known === flags.logLevel);
  if (level === undefined)
    return wrong(`"${flags.logLevel}" is not a log level; write one of ${LOG_LEVELS.join(', ')}`);
  const tracing: GivenTracing[] = [];
  for (const text of flags.tracing) {
    const given = parseTracing(text);
    if (given === null) return wrong(`--tracing "${text}" is not name=host:port`);
    tracing.push(given);
  }
  const { rules } = flags;
  const found = rules === undefined ? null : await stat(rules).catch(() => null);
  if (rules !== undefined && found?.isDirectory() !== true) return wrong(`--rules: there is no directory ${rules}`);
  const log = createLog('control', level);
  const cluster = await clusterOf(flags, 'outrigger-control', log);
  if (typeof cluster === 'string') return wrong(cluster);
  if (rules === undefined && cluster === null) return wrong('write --rules or --kube: where rules come from');
  const secure = await secureOptions(flags, cluster, log);
  if (typeof secure === 'string') return wrong(secure);
  const mistake = webhookMistake(flags, cluster);
  if (mistake !== '') return wrong(mistake);
  const rulesOfCluster = cluster === null ? null : await rulesOf(cluster, log);
  const control = new ControlService({
    ...(rules === undefined ? {} : { rules }),
    sources: rulesOfCluster === null ? [] : [rulesOfCluster],
    log,
    xdsAddress,
    httpAddress,
    domain: flags.domain,
    debounceMs,
    settleMs,
    onDemandAbove,
    tracing,
    secure,
    ...(flags.trustDomain === undefined ? {} : { trustDomain: flags.trustDomain }),
    allowsPrivateJwks: flags.jwksAllowPrivate,
  });
  const ended = untilSignalled();
  let webhooks: Webhooks | null = null;
  let leadership: Leadership | null = null;
  try {
    const isAsked = await Promise.race([control.start().then(() => false), ended.then(() => true)]);
    // It may wait for an API server that is away, and whoever asks it to end does not.
    if (isAsked) process.exit(0);
    webhooks = await startWebhooks(flags, { control, cluster, log });
    if (cluster !== null && rulesOfCluster !== null) leadership = await lead(cluster, rulesOfCluster, control, log);
  } catch (cause) {
    await control.stop();
    const reason = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : '';
    process.stderr.write(`outrigger control: ${cause instanceof Error ? cause.message : String(cause)}${reason}\n`);
    return EXIT_FAILED;
  }
  await ended;
  await leadership?.stop();
  await webhooks?.stop();
  await control.stop();
  await cluster?.client.close();
  return 0;
}

function untilSignalled(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => done());
  });
}

async function rulesOf({ client, namespace }: Cluster, log: Log): Promise<KubernetesRules> {
  const { KubernetesRules } = await import('../control/kubernetes/kubernetes-rules.ts');
  return new KubernetesRules({ client, log: log.child('kubernetes'), clock: systemClock, namespace });
}

async function lead(
  { client, namespace }: Cluster,
  rules: KubernetesRules,
  control: ControlService,
  log: Log,
): Promise<Leadership> {
  const { Leadership } = await import('../control/kubernetes/leadership.ts');
  const leadership = new Leadership({
    client,
    namespace,
    control,
    rules,
    log: log.child('leader'),
    clock: systemClock,
  });
  leadership.start();
  return leadership;
}

function wrong(message: string): number {
  process.stderr.write(`outrigger control: ${message}\n`);
  return EXIT_USAGE;
}
