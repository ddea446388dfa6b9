// What the leader knows of a rule as the API server has it: which it is, and what its status says now.
import { listOf, numberOf, recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';
import type { KubeKind } from '../../kube/kind-path.ts';
import type { KubeObject } from '../../kube/kube-object.ts';

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** One word. */
  readonly reason: string;
  readonly message: string;
}

export interface WrittenCondition extends Condition {
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

export interface RuleObject {
  readonly kind: KubeKind;
  /** In Problems. */
  readonly file: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly conditions: readonly WrittenCondition[];
  /** It names other objects, which may not be there. */
  readonly hasReferences: boolean;
  /** `spec.parentRefs` of a route; empty for others. */
  readonly parentRefs: readonly JsonRecord[];
  /** `status.parents`. */
  readonly parents: readonly JsonRecord[];
}

/** Kinds that always name others. */
const NAMING: ReadonlySet<string> = new Set(['VirtualService', 'DestinationRule', 'HTTPRoute']);

export function ruleObject(kind: KubeKind, file: string, object: KubeObject): RuleObject {
  const { namespace, name, uid, resourceVersion, generation } = object.metadata;
  const status = recordOf(object['status']);
  const spec = recordOf(object['spec']);
  return {
    kind,
    file,
    namespace,
    name,
    uid,
    resourceVersion,
    generation,
    conditions: conditionsOf(status['conditions']),
    hasReferences: NAMING.has(kind.kind) || namesOthers(spec),
    parentRefs: listOf(spec['parentRefs']).map(recordOf),
    parents: listOf(status['parents']).map(recordOf),
  };
}

function namesOthers({ targetRef, targetRefs, provider, fallback, tracing }: JsonRecord): boolean {
  return (
    targetRef !== undefined ||
    listOf(targetRefs).length > 0 ||
    provider !== undefined ||
    fallback !== undefined ||
    listOf(tracing).some((one) => listOf(recordOf(one)['providers']).length > 0)
  );
}

export function conditionsOf(value: unknown): readonly WrittenCondition[] {
  return listOf(value).map((one) => {
    const { type, status, reason, message, observedGeneration, lastTransitionTime } = recordOf(one);
    return {
      type: textOf(type),
      status: status === 'True' || status === 'False' ? status : 'Unknown',
      reason: textOf(reason),
      message: textOf(message),
      observedGeneration: numberOf(observedGeneration),
      lastTransitionTime: textOf(lastTransitionTime),
    };
  });
}
