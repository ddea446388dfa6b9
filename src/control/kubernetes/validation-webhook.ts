// Admission of rules: what the readers and the translation would say of the object is said before it is stored. Errors refuse
// it, each with the path of its field; what is accepted but doubtful is a warning that kubectl prints.
import type { Problem } from '../../base/problem.ts';
import { parseObject } from '../../config/parse.ts';
import type { Resource } from '../../config/resource.ts';
import { proofVerdict } from './webhook-proof.ts';
import type { AdmissionRequest, AdmissionVerdict } from '../../kube/admission-review.ts';

/** What resources would be told beside all others that are there. */
export type Trial = (resources: readonly Resource[]) => readonly Problem[];

export function validationVerdict(request: AdmissionRequest, trial: Trial): AdmissionVerdict {
  const { object, operation, subresource, kind, namespace, name } = request;
  if (object === null || subresource !== '' || (operation !== 'CREATE' && operation !== 'UPDATE'))
    return { kind: 'allowed' };
  const proof = proofVerdict(request);
  if (proof !== null) return proof;
  // The name that the rule has among the others: of its former version nothing is left beside it.
  const parsed = parseObject(`kubernetes:${kind.name}/${namespace}/${name}`, object);
  const problems = [...parsed.problems, ...(parsed.refused.length > 0 ? [] : trial(parsed.resources))];
  const warnings = problems.filter(({ severity }) => severity === 'warning').map(sentenceOf);
  const causes = problems
    .filter(({ severity }) => severity === 'error')
    .map((problem) => ({ field: problem.path, message: wordsOf(problem) }));
  if (causes.length === 0) return { kind: 'allowed', warnings };
  const message = causes.map((cause) => (cause.field === '' ? cause.message : `${cause.field}: ${cause.message}`));
  return { kind: 'denied', message: message.join('; '), causes, warnings };
}

function sentenceOf(problem: Problem): string {
  return problem.path === '' ? wordsOf(problem) : `${problem.path}: ${wordsOf(problem)}`;
}

function wordsOf({ message, remedy }: Problem): string {
  return remedy === '' ? message : `${message}; ${remedy}`;
}
