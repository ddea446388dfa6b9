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
  /** `spec.parentRefs` of a route; empty for others. */
  readonly parentRefs: readonly JsonRecord[];
  /** `status.parents`. */
  readonly parents: readonly JsonRecord[];
}

export function ruleObject(kind: KubeKind, file: string, object: KubeObject): RuleObject {
  const { namespace, name, uid, resourceVersion, generation } = object.metadata;
  const status = recordOf(object['status']);
  return {
    kind,
    file,
    namespace,
    name,
    uid,
    resourceVersion,
    generation,
    conditions: conditionsOf(status['conditions']),
    parentRefs: listOf(recordOf(object['spec'])['parentRefs']).map(recordOf),
    parents: listOf(status['parents']).map(recordOf),
  };
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
