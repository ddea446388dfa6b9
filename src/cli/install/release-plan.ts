// What installing does to each object of a cluster, found out before anything is done: the server is asked to judge every
// object (server-side apply, dry run). It refuses the whole when an object of one of our names is not ours, or is Helm's:
// two managers would undo each other's work for ever. Definitions that somebody else brought along are left alone
// (config/schema/definition-owner.ts), and a namespace or a mesh configuration that a person made is used as it is.
import type { JsonObject } from '@bufbuild/protobuf';
import { isJsonObject, toJsonValue } from '../../config/json-value.ts';
import { planDefinition } from '../../config/schema/definition-owner.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isServed } from '../../kube/discovery.ts';
import { isJsonRecord, listOf, recordOf, type JsonRecord } from '../../kube/json-record.ts';
import { formatFailure, type KubeFailure } from '../../kube/kube-answer.ts';
import type { KubeObject } from '../../kube/kube-object.ts';
import { objectDifference } from './object-difference.ts';
import { CLI_MANAGER, type Release, type ReleaseObject } from './release.ts';
import { RELEASE_KINDS, releaseKind, SERVICE_MONITOR } from './release-kind.ts';

export type ObjectPlan =
  | { readonly kind: 'create'; readonly object: ReleaseObject }
  | { readonly kind: 'update'; readonly object: ReleaseObject; readonly lines: readonly string[] }
  | { readonly kind: 'keep'; readonly object: ReleaseObject }
  /** It is somebody else's; `notes` say what that means. */
  | { readonly kind: 'leave'; readonly object: ReleaseObject; readonly notes: readonly string[] }
  /** Of a former release, and not of this one. */
  | { readonly kind: 'remove'; readonly object: KubeObject };

export interface ReleasePlan {
  readonly plans: readonly ObjectPlan[];
  /** Why nothing may be done; empty: it may. */
  readonly refusals: readonly string[];
}

const PART_OF = 'app.kubernetes.io/part-of';
const MANAGED_BY = 'app.kubernetes.io/managed-by';
/** Of these, what a person made before us is used. */
const ADOPTED = new Set(['Namespace', 'ConfigMap']);

export interface PlanOptions {
  readonly client: KubeClient;
  readonly release: Release;
  readonly objects: readonly ReleaseObject[];
  /** Fields that another manager owns are taken over. */
  readonly isForced: boolean;
}

export async function planRelease(options: PlanOptions): Promise<ReleasePlan> {
  const plans: ObjectPlan[] = [];
  const refusals: string[] = [];
  for (const object of options.objects) {
    const plan = await planObject(object, options, plans);
    if (typeof plan === 'string') refusals.push(plan);
    else plans.push(plan);
  }
  const former = await formerObjects(options.client);
  if (typeof former === 'string') return { plans, refusals: [...refusals, former] };
  const wanted = new Set(options.objects.map((object) => titleOf(object)));
  for (const object of former) {
    const isKept = object.kind === 'CustomResourceDefinition' || object.kind === 'Namespace';
    if (!isKept && !wanted.has(titleOf(object))) plans.push({ kind: 'remove', object });
  }
  return { plans, refusals };
}

async function planObject(
  object: ReleaseObject,
  { client, isForced }: PlanOptions,
  before: readonly ObjectPlan[],
): Promise<ObjectPlan | string> {
  const kind = releaseKind(object);
  const { name, namespace = '' } = object.metadata;
  if (kind === SERVICE_MONITOR) {
    const served = await isServed(client, kind);
    if (served.kind === 'failed') return `${titleOf(object)}: ${formatFailure(served.failure)}`;
    if (!served.value) return { kind: 'leave', object, notes: ['is left out: the cluster has no such kind'] };
  }
  const found = await client.get(kind, { name, namespace });
  const isAbsent = found.kind === 'failed' && found.failure.status === 404;
  if (found.kind === 'failed' && !isAbsent) return `${titleOf(object)}: ${formatFailure(found.failure)}`;
  const present = found.kind === 'done' ? found.value : null;
  if (present !== null && isHelms(present) && object.kind !== 'CustomResourceDefinition')
    return `${titleOf(object)} belongs to the Helm release ${helmRelease(present)}: use helm upgrade and helm uninstall for it`;
  if (object.kind === 'CustomResourceDefinition') {
    const left = leftDefinition(object, present);
    if (left !== null) return left;
  } else if (present !== null && present.metadata.labels[PART_OF] !== 'outrigger') {
    if (ADOPTED.has(object.kind)) return { kind: 'leave', object, notes: ['is there already and is used as it is'] };
    return `${titleOf(object)} is there already and is not ours (it has no label ${PART_OF}: outrigger): remove or rename it`;
  }
  // What lives in a namespace that is yet to be made cannot be judged by the server.
  const isNamespaceNew = before.some((plan) => plan.kind === 'create' && plan.object.kind === 'Namespace');
  if (present === null && namespace !== '' && isNamespaceNew) return { kind: 'create', object };
  const wanted = withLivePolicies(object, present);
  const judged = await client.apply(kind, wanted, {
    fieldManager: CLI_MANAGER,
    isDryRun: true,
    isForced: isForced || object.kind === 'CustomResourceDefinition',
    fieldValidation: 'Strict',
  });
  if (judged.kind === 'failed') return refusalOf(object, judged.failure);
  if (present === null) return { kind: 'create', object: wanted };
  const lines = objectDifference(present, judged.value);
  return lines.length === 0 ? { kind: 'keep', object: wanted } : { kind: 'update', object: wanted, lines };
}

function refusalOf(object: ReleaseObject, failure: KubeFailure): string {
  if (failure.status === 404)
    return `${titleOf(object)}: the cluster does not have this kind; install what defines it, or switch it off`;
  const remedy = failure.reason === 'Conflict' ? '; --force-conflicts takes these fields over' : '';
  return `${titleOf(object)}: ${formatFailure(failure)}${remedy}`;
}

/** Null: it is ours to write. */
function leftDefinition(object: ReleaseObject, present: KubeObject | null): ObjectPlan | null {
  const plan = planDefinition(jsonOf(object), present === null ? null : jsonOf(present));
  if (plan.kind !== 'leave') return null;
  const { owner, missingFields, missingVersions, hasStatus } = plan;
  return {
    kind: 'leave',
    object,
    notes: [
      `belongs to ${owner === '' ? 'somebody else' : owner} and is left alone`,
      ...(missingFields.length === 0 ? [] : [`it drops ${missingFields.join(', ')}`]),
      ...(missingVersions.length === 0 ? [] : [`it does not serve ${missingVersions.join(', ')}`]),
      ...(hasStatus ? [] : ['it has no place for a status']),
    ],
  };
}

/** Once the control service has proven itself it closes the validator (Ignore becomes Fail): an upgrade leaves it closed. */
function withLivePolicies(object: ReleaseObject, present: KubeObject | null): ReleaseObject {
  if (object.kind !== 'ValidatingWebhookConfiguration' || present === null) return object;
  const live = new Map(
    listOf(present['webhooks']).map((one) => [recordOf(one)['name'], recordOf(one)['failurePolicy']]),
  );
  const webhooks = listOf(object['webhooks']).map((one) => {
    const webhook = recordOf(one);
    return { ...webhook, failurePolicy: live.get(webhook['name']) ?? webhook['failurePolicy'] };
  });
  return { ...object, webhooks };
}

/** All objects that this command ever made and that are still there, in the order of their removal; or what went wrong. */
export async function formerObjects(client: KubeClient): Promise<readonly KubeObject[] | string> {
  const found: KubeObject[] = [];
  for (const kind of RELEASE_KINDS) {
    const listed = await client.list(kind, { labelSelector: `${PART_OF}=outrigger,${MANAGED_BY}=${CLI_MANAGER}` });
    // A kind that the cluster does not have has no objects.
    if (listed.kind === 'failed' && listed.failure.status === 404) continue;
    if (listed.kind === 'failed') return `${kind.plural}: ${formatFailure(listed.failure)}`;
    found.push(...listed.value.items);
  }
  return found;
}

export function isHelms({ metadata }: KubeObject): boolean {
  return metadata.labels[MANAGED_BY] === 'Helm' || helmRelease({ metadata }) !== '';
}

function helmRelease({ metadata }: Pick<KubeObject, 'metadata'>): string {
  return metadata.annotations['meta.helm.sh/release-name'] ?? '';
}

/** `Deployment outrigger-system/outrigger-control`. */
export function titleOf(object: {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}): string {
  const { name, namespace = '' } = object.metadata;
  return `${object.kind} ${namespace === '' ? name : `${namespace}/${name}`}`;
}

function jsonOf(value: JsonRecord | ReleaseObject): JsonObject {
  const json = toJsonValue(value);
  return isJsonObject(json) ? json : {};
}

/** Whether a Deployment, as the server has it, serves as it is meant to. */
export function isRolledOut(object: KubeObject): boolean {
  const spec = recordOf(object['spec']);
  const status = isJsonRecord(object['status']) ? object['status'] : {};
  const count = (name: string): number => (typeof status[name] === 'number' ? status[name] : 0);
  const wanted = typeof spec['replicas'] === 'number' ? spec['replicas'] : 1;
  return (
    count('observedGeneration') >= object.metadata.generation &&
    count('updatedReplicas') >= wanted &&
    count('availableReplicas') >= wanted &&
    count('replicas') === count('updatedReplicas')
  );
}
