// The work of `outrigger uninstall`: what carries our labels goes, webhooks first, so that nobody waits for a service that is
// going; then what the control service made; definitions and the namespace last, and then it waits until they are gone.
// What Helm or somebody else made stays, and so do definitions that have rules, unless these may go.
import { setTimeout as sleep } from 'node:timers/promises';
import { kindSchemas } from '../../config/schema/kind-schemas.ts';
import type { KubeClient } from '../../kube/client.ts';
import { formatFailure } from '../../kube/kube-answer.ts';
import type { KubeKind } from '../../kube/kind-path.ts';
import type { KubeObject } from '../../kube/kube-object.ts';
import { KNOWN_KINDS } from '../../kube/known-kinds.ts';
import type { UninstallFlags } from '../uninstall.ts';
import { isAgreed } from './agreement.ts';
import { openCluster } from './release-access.ts';
import { CLI_MANAGER, CONTROL } from './release.ts';
import { RELEASE_KINDS } from './release-kind.ts';
import { formerObjects, isHelms, titleOf } from './release-plan.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const POLL_MS = 250;
/** Kinds of objects that the control service makes for itself: ours, and of no installer. */
const MADE_BY_CONTROL = [KNOWN_KINDS.lease, KNOWN_KINDS.secret, KNOWN_KINDS.configMap];
const CONTROL_LABELS = `app.kubernetes.io/part-of=outrigger,app.kubernetes.io/managed-by notin (${CLI_MANAGER},Helm)`;

interface Removal {
  readonly kind: KubeKind;
  readonly object: KubeObject;
}

export async function runUninstall(flags: UninstallFlags): Promise<number> {
  const timeoutMs = Number(flags.timeout) * 1000;
  if (!Number.isFinite(timeoutMs) || timeoutMs < 0) {
    say('outrigger uninstall: --timeout takes seconds');
    return EXIT_USAGE;
  }
  const cluster = await openCluster(flags);
  if (typeof cluster === 'string') return failed(cluster);
  try {
    const why = await uninstallFrom(cluster.client, flags, timeoutMs);
    return why === '' ? 0 : failed(why);
  } finally {
    await cluster.client.close();
  }
}

async function uninstallFrom(client: KubeClient, flags: UninstallFlags, timeoutMs: number): Promise<string> {
  const deployment = await client.get(KNOWN_KINDS.deployment, { namespace: flags.namespace, name: CONTROL });
  if (deployment.kind === 'done' && isHelms(deployment.value))
    return `the control service in ${flags.namespace} belongs to a Helm release: use helm uninstall`;
  const removals = await findRemovals(client, flags);
  if (typeof removals === 'string') return removals;
  if (removals.length === 0) {
    say('there is nothing of ours');
    return '';
  }
  if (flags.dryRun) {
    for (const { object } of removals) process.stdout.write(`- ${titleOf(object)}\n`);
    return '';
  }
  if (!flags.yes) {
    for (const { object } of removals) say(`- ${titleOf(object)}`);
    if (!(await isAgreed(`Remove these ${removals.length} objects?`))) return 'nothing was removed';
  }
  for (const [index, { kind, object }] of removals.entries()) {
    // While kinds are going, the controller of namespaces cannot tell what is in one, and tries again ever more rarely.
    if (object.kind === 'CustomResourceDefinition' && removals[index - 1]?.object.kind === 'Namespace') {
      const left = await untilGone(client, removals.slice(0, index), timeoutMs);
      if (left !== '') return left;
    }
    const answer = await client.remove(kind, object.metadata, { uid: object.metadata.uid });
    if (answer.kind === 'failed' && answer.failure.status !== 404)
      return `${titleOf(object)}: ${formatFailure(answer.failure)}`;
    process.stdout.write(`✔ ${titleOf(object)} removed\n`);
  }
  const left = await untilGone(client, removals, timeoutMs);
  if (left === '') say('✔ nothing is left');
  return left;
}

async function findRemovals(client: KubeClient, flags: UninstallFlags): Promise<readonly Removal[] | string> {
  const former = await formerObjects(client);
  if (typeof former === 'string') return former;
  const made = await madeByControl(client);
  if (typeof made === 'string') return made;
  const ours = former.flatMap((object) => {
    const kind = RELEASE_KINDS.find((one) => one.kind === object.kind);
    return kind === undefined ? [] : [{ kind, object }];
  });
  const isLate = ({ object }: Removal): boolean => ['Namespace', 'CustomResourceDefinition'].includes(object.kind);
  const late: Removal[] = [];
  for (const removal of ours.filter(isLate)) {
    const kept = removal.object.kind === 'Namespace' ? '' : await whyKept(client, removal.object, flags);
    if (kept === '') late.push(removal);
    else say(`• ${titleOf(removal.object)} stays: ${kept}`);
  }
  return [...ours.filter((removal) => !isLate(removal)), ...made, ...late];
}

async function madeByControl(client: KubeClient): Promise<readonly Removal[] | string> {
  const found: Removal[] = [];
  for (const kind of MADE_BY_CONTROL) {
    const listed = await client.list(kind, { labelSelector: CONTROL_LABELS });
    if (listed.kind === 'failed') return `${kind.plural}: ${formatFailure(listed.failure)}`;
    found.push(...listed.value.items.map((object) => ({ kind, object })));
  }
  return found;
}

/** Empty: the definition goes. */
async function whyKept(client: KubeClient, { metadata }: KubeObject, flags: UninstallFlags): Promise<string> {
  if (flags.keepDefinitions) return '--keep-definitions';
  if (flags.removeRules) return '';
  const schema = kindSchemas().find(({ plural, group }) => `${plural}.${group}` === metadata.name);
  // Of a kind that this version does not know, nobody can tell what would be lost.
  if (schema === undefined) return 'it is of another version; --remove-rules removes it';
  const { group, kind, plural, versions } = schema;
  const listed = await client.list({ group, kind, plural, version: versions[0] ?? '', isNamespaced: true });
  if (listed.kind === 'failed') return `its rules cannot be listed: ${formatFailure(listed.failure)}`;
  const count = listed.value.items.length;
  if (count === 0) return '';
  return `there ${count === 1 ? 'is a rule' : `are ${count} rules`} of it; --remove-rules removes them with it`;
}

async function untilGone(client: KubeClient, removals: readonly Removal[], timeoutMs: number): Promise<string> {
  const deadlineMs = performance.now() + timeoutMs;
  for (const { kind, object } of removals) {
    for (;;) {
      const found = await client.get(kind, object.metadata);
      if (found.kind === 'failed' && found.failure.status === 404) break;
      if (found.kind === 'done' && found.value.metadata.uid !== object.metadata.uid) break;
      if (performance.now() > deadlineMs) return `${titleOf(object)} is still being removed: look at its finalizers`;
      await sleep(POLL_MS);
    }
  }
  return '';
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function failed(message: string): number {
  say(`outrigger uninstall: ${message}`);
  return EXIT_FAILED;
}
