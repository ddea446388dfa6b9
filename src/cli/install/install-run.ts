// The work of `outrigger install` and `outrigger upgrade`: read the values, plan, show, ask, apply, wait. Nothing is changed
// while anything stands against it. What it says goes to standard error; objects and differences to standard output.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { formatProblem } from '../../base/problem.ts';
import type { KubeClient } from '../../kube/client.ts';
import { formatFailure } from '../../kube/kube-answer.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import type { InstallFlags } from '../install.ts';
import { isAgreed } from './agreement.ts';
import { CLI_MANAGER, CONTROL, type Release } from './release.ts';
import { openCluster } from './release-access.ts';
import { releaseKind } from './release-kind.ts';
import { releaseObjects } from './release-objects.ts';
import { isRolledOut, planRelease, titleOf, type ObjectPlan } from './release-plan.ts';
import { readValues, type ReadValues } from './release-values.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_DATA = 65;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const POLL_MS = 500;
const ESTABLISHED_MS = 30_000;

export async function runInstall(command: 'install' | 'upgrade', flags: InstallFlags): Promise<number> {
  const timeoutMs = Number(flags.timeout) * 1000;
  if (!Number.isFinite(timeoutMs) || timeoutMs < 0) return wrong(command, '--timeout takes seconds');
  if (!NAMESPACE.test(flags.namespace))
    return wrong(command, `--namespace "${flags.namespace}" is not the name of a namespace`);
  if (!['yaml', 'json'].includes(flags.output)) return wrong(command, `"${flags.output}" is neither yaml nor json`);
  const read = await givenValues(flags);
  if (typeof read === 'string') return wrong(command, read);
  if (read.kind === 'refused') {
    for (const problem of read.problems) say(`outrigger ${command}: ${formatProblem(problem)}`);
    return EXIT_DATA;
  }
  const { namespace } = flags;
  const release = { values: read.values, namespace, instance: 'outrigger', managedBy: CLI_MANAGER };
  if (flags.dryRun) {
    print(release, flags.output);
    return 0;
  }
  const cluster = await openCluster(flags);
  if (typeof cluster === 'string') return failed(command, cluster);
  try {
    say(`Kubernetes ${cluster.version}`);
    const why = await installOn(cluster.client, release, { command, flags, timeoutMs });
    return why === '' ? 0 : failed(command, why);
  } finally {
    await cluster.client.close();
  }
}

interface Given {
  readonly command: 'install' | 'upgrade';
  readonly flags: InstallFlags;
  readonly timeoutMs: number;
}

/** Empty when it is done, or why it is not. */
async function installOn(client: KubeClient, release: Release, { command, flags, timeoutMs }: Given): Promise<string> {
  const { namespace } = release;
  if (command === 'upgrade') {
    const found = await client.get(KNOWN_KINDS.deployment, { namespace, name: CONTROL });
    if (found.kind === 'failed' && found.failure.status === 404)
      return `there is no installation in the namespace ${namespace}: use outrigger install`;
  }
  const isForced = flags.forceConflicts;
  const objects = releaseObjects(release);
  const { plans, refusals } = await planRelease({ client, release, objects, isForced });
  if (refusals.length > 0) return ['nothing was changed:', ...refusals].join('\n  ');
  const changes = plans.filter(({ kind }) => kind !== 'keep' && kind !== 'leave');
  for (const plan of plans) if (plan.kind === 'leave') say(`• ${titleOf(plan.object)} ${plan.notes.join('; ')}`);
  if (changes.length === 0) say('everything is as it should be');
  const isUpdate = plans.some(({ kind }) => kind === 'update' || kind === 'remove');
  if (flags.diff || isUpdate) for (const plan of changes) process.stdout.write(`${described(plan)}\n`);
  if (flags.diff) return '';
  if (changes.length > 0 && !flags.yes && !(await isAgreed(`Apply ${changes.length} changes?`)))
    return 'nothing was changed';
  for (const plan of changes) {
    const failure = await apply(client, plan, isForced);
    if (failure !== '') return `${titleOf(plan.object)}: ${failure}`;
    say(`✔ ${titleOf(plan.object)} ${DONE[plan.kind]}`);
  }
  return flags.wait ? await untilReady(client, namespace, timeoutMs) : '';
}

const DONE = { create: 'made', update: 'changed', remove: 'removed', keep: 'kept', leave: 'left alone' } as const;
const MARKS = { create: '+', update: '~', remove: '-', keep: '=', leave: '•' } as const;

function described(plan: ObjectPlan): string {
  const lines = plan.kind === 'update' ? plan.lines : [];
  return [`${MARKS[plan.kind]} ${titleOf(plan.object)}`, ...lines.map((line) => `    ${line}`)].join('\n');
}

/** Empty when it is done. */
async function apply(client: KubeClient, plan: ObjectPlan, isForced: boolean): Promise<string> {
  if (plan.kind === 'remove') {
    const { metadata } = plan.object;
    const answer = await client.remove(releaseKind(plan.object), metadata, { uid: metadata.uid });
    return answer.kind === 'done' || answer.failure.status === 404 ? '' : formatFailure(answer.failure);
  }
  const { object } = plan;
  const isDefinition = object.kind === 'CustomResourceDefinition';
  const kind = releaseKind(object);
  const answer = await client.apply(kind, object, { fieldManager: CLI_MANAGER, isForced: isForced || isDefinition });
  if (answer.kind === 'failed') return formatFailure(answer.failure);
  return isDefinition ? await untilEstablished(client, object.metadata.name) : '';
}

async function untilEstablished(client: KubeClient, name: string): Promise<string> {
  const deadlineMs = performance.now() + ESTABLISHED_MS;
  for (;;) {
    const found = await client.get(KNOWN_KINDS.customResourceDefinition, { namespace: '', name });
    if (found.kind === 'done' && JSON.stringify(found.value['status'] ?? {}).includes('"type":"Established"'))
      return '';
    if (performance.now() > deadlineMs) return 'is not established yet';
    await sleep(POLL_MS / 10);
  }
}

async function untilReady(client: KubeClient, namespace: string, timeoutMs: number): Promise<string> {
  say('… waiting until the control service is ready');
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await client.get(KNOWN_KINDS.deployment, { namespace, name: CONTROL });
    if (found.kind === 'done' && isRolledOut(found.value)) {
      say('✔ the control service is ready');
      return '';
    }
    if (performance.now() > deadlineMs)
      return `the control service is not ready after ${Math.round(timeoutMs / 1000)} s: kubectl -n ${namespace} describe deployment ${CONTROL}`;
    await sleep(POLL_MS);
  }
}

async function givenValues(flags: InstallFlags): Promise<ReadValues | string> {
  const texts: string[] = [];
  for (const file of flags.values) {
    const text = await readFile(file, 'utf8').catch(() => null);
    if (text === null) return `${file} cannot be read`;
    texts.push(text);
  }
  return readValues(texts, flags.set);
}

function print(release: Release, output: string): void {
  const objects = releaseObjects(release);
  const options = { lineWidth: 0, aliasDuplicateObjects: false };
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  if (output === 'json') process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
  else process.stdout.write(objects.map((object) => `---\n${stringify(object, options)}`).join(''));
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function wrong(command: string, message: string): number {
  say(`outrigger ${command}: ${message}`);
  return EXIT_USAGE;
}

function failed(command: string, message: string): number {
  say(`outrigger ${command}: ${message}`);
  return EXIT_FAILED;
}
