// Compares what is in force (the text of iptables-save) with a plan, and writes what makes the one the
// other: a script for iptables-restore that names only our own chains and the jumps to them. Pure. Rules of
// others are read past: they are neither judged nor touched, wherever they stand.
import { OWN_CHAINS, renderRule, type RedirectPlan } from './redirect-plan.ts';

/** What is ours in the table nat. */
export interface LiveRules {
  readonly chains: readonly string[];
  /** Rules in our chains, as printed. */
  readonly rules: readonly string[];
  /** Rules in others' chains that lead to ours. */
  readonly jumps: readonly string[];
}

export type Difference =
  | { readonly kind: 'missing' | 'unexpected' | 'repeated'; readonly rule: string }
  | { readonly kind: 'missing chain' | 'unexpected chain' | 'wrong order'; readonly chain: string };

/** Reads the table nat of `iptables-save`; other tables may stand beside it. */
export function readLiveRules(saved: string): LiveRules {
  const live = { chains: new Array<string>(), rules: new Array<string>(), jumps: new Array<string>() };
  let isNat = false;
  for (const line of saved.split('\n').map((text) => text.trim())) {
    if (line.startsWith('*')) isNat = line === '*nat';
    if (!isNat) continue;
    const [, chain = ''] = /^:(\S+)/.exec(line) ?? [];
    if (isOwn(chain)) live.chains.push(chain);
    if (!line.startsWith('-A ')) continue;
    const [, holder = ''] = line.split(' ', 2);
    if (isOwn(holder)) live.rules.push(line);
    else if (isOwn(targetOf(line))) live.jumps.push(line);
  }
  return live;
}

/** What is wrong, in the order chains, jumps, rules; empty when the plan is in force. */
export function differencesOf(plan: RedirectPlan, live: LiveRules): readonly Difference[] {
  const differences: Difference[] = [];
  for (const chain of plan.chains) if (!live.chains.includes(chain)) differences.push({ kind: 'missing chain', chain });
  for (const chain of live.chains)
    if (!plan.chains.includes(chain)) differences.push({ kind: 'unexpected chain', chain });
  differences.push(...compare(plan.jumps.map(renderRule), live.jumps));
  const wanted = plan.rules.map(renderRule);
  for (const chain of OWN_CHAINS) {
    const isHere = (rule: string): boolean => rule.startsWith(`-A ${chain} `);
    const [expected, found] = [wanted.filter(isHere), live.rules.filter(isHere)];
    const here = compare(expected, found);
    differences.push(...here);
    if (here.length === 0 && expected.join('\n') !== found.join('\n')) differences.push({ kind: 'wrong order', chain });
  }
  return differences;
}

/** The script that puts the plan in force, in one commit; null when it is. */
export function installScript(plan: RedirectPlan, live: LiveRules): string | null {
  if (differencesOf(plan, live).length === 0) return null;
  const jumps = plan.jumps.map(renderRule);
  return script([
    ...surplus(jumps, live.jumps).map(asDeletion),
    // Naming a chain makes it, or empties it; jumps that stand where they should stay there.
    ...plan.chains.map((chain) => `:${chain} - [0:0]`),
    ...plan.rules.map(renderRule),
    ...jumps.filter((jump) => !live.jumps.includes(jump)),
    ...removalOf(live.chains.filter((chain) => !plan.chains.includes(chain))),
  ]);
}

/** The script that takes away everything that is ours; null when there is nothing. */
export function removeScript(live: LiveRules): string | null {
  if (live.chains.length + live.jumps.length === 0) return null;
  return script([...live.jumps.map(asDeletion), ...removalOf(live.chains)]);
}

export function describeDifference(difference: Difference): string {
  switch (difference.kind) {
    case 'missing':
    case 'unexpected':
    case 'repeated':
      return `${difference.kind}: ${difference.rule}`;
    default:
      return `${difference.kind}: ${difference.chain}`;
  }
}

function compare(expected: readonly string[], found: readonly string[]): readonly Difference[] {
  const missing = expected.filter((rule) => !found.includes(rule)).map((rule) => ({ kind: 'missing', rule }) as const);
  const extra = surplus(expected, found).map(
    (rule) => ({ kind: expected.includes(rule) ? 'repeated' : 'unexpected', rule }) as const,
  );
  return [...missing, ...extra];
}

/** What was found beyond one of each that is expected. */
function surplus(expected: readonly string[], found: readonly string[]): readonly string[] {
  return found.filter((rule, index) => !expected.includes(rule) || found.indexOf(rule) !== index);
}

function asDeletion(rule: string): string {
  return rule.replace(/^-A /, '-D ');
}

function removalOf(chains: readonly string[]): readonly string[] {
  return [...chains.map((chain) => `-F ${chain}`), ...chains.map((chain) => `-X ${chain}`)];
}

function script(lines: readonly string[]): string {
  return ['*nat', ...lines, 'COMMIT', ''].join('\n');
}

/** A comment may hold anything, so quoted words are no targets. */
function targetOf(rule: string): string {
  const [, target = ''] = / -[jg] (\S+)/.exec(rule.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')) ?? [];
  return target;
}

function isOwn(chain: string): boolean {
  return OWN_CHAINS.includes(chain);
}
