// Envoy's HeaderMutationRules: which fields of a request another service may change. Each change is made, left out,
// or refuses the whole answer. The defaults forbid what routing goes by and Envoy's own control fields.
// Source: Envoy config.common.mutation_rules.v3.HeaderMutationRules.
import type { Problem } from '../base/problem.ts';
import { compileRegex } from '../plan/regex.ts';
import type { HeaderMutationRules } from '../xds/gen/envoy/config/common/mutation_rules/v3/mutation_rules_pb.js';

export type MutationVerdict = 'ok' | 'ignore' | 'fail';
export type Mutation = 'set' | 'append' | 'remove';

export interface MutationRules {
  readonly judge: (name: string, value: string, mutation: Mutation) => MutationVerdict;
}

const ROUTING: ReadonlySet<string> = new Set(['host', ':authority', ':scheme', ':method']);

/** Null after reporting why the rules are refused. */
export function compileMutationRules(
  config: HeaderMutationRules,
  problems: Problem[],
  path: string,
): MutationRules | null {
  const regexOf = (
    expression: { readonly regex: string } | undefined,
    at: string,
  ): ((name: string) => boolean) | null =>
    expression === undefined
      ? never
      : (compileRegex(expression.regex, problems, `${path}.${at}.regex`)?.matches ?? null);
  const allows = regexOf(config.allowExpression, 'allow_expression');
  const forbids = regexOf(config.disallowExpression, 'disallow_expression');
  if (allows === null || forbids === null) return null;
  const refused: MutationVerdict = config.disallowIsError === true ? 'fail' : 'ignore';
  const isAllowed = (name: string): boolean => {
    if (forbids(name)) return false;
    if (allows(name)) return true;
    if (config.disallowAll === true) return false;
    if (name.startsWith(':') || name === 'host') {
      if (config.disallowSystem === true) return false;
      return ROUTING.has(name) ? config.allowAllRouting === true : true;
    }
    if (name.startsWith('x-envoy')) return config.allowEnvoy === true;
    return true;
  };
  return {
    judge(name, value, mutation) {
      const isPseudo = name.startsWith(':') || name === 'host';
      // Neither may be missing, nor have several values.
      if (isPseudo && mutation !== 'set') return refused;
      if (name === ':status' || (name === ':method' && value === '')) return refused;
      return isAllowed(name) ? 'ok' : refused;
    },
  };
}

function never(): boolean {
  return false;
}
