// Prints a Plan as text, one step a line with the resource it came from: what `/plan` shows and what
// golden files hold.
import type { Plan, Step } from './plan.ts';

const PHASES = ['onRequest', 'onAttempt', 'onResponse', 'onEnd'] as const;

export function printPlan(plan: Plan): string {
  const lines = [
    `plan ${plan.route === '' ? '(unnamed)' : plan.route}${plan.origin === '' ? '' : `  # ${plan.origin}`}`,
  ];
  for (const phase of PHASES) {
    for (const step of plan[phase]) lines.push(`  ${phase.padEnd(10)} ${printStep(step)}`);
  }
  for (const mirror of plan.mirrors) lines.push(`  mirror     ${mirror.cluster.name} ${mirror.fraction * 100} %`);
  return `${lines.join('\n')}\n`;
}

function printStep(step: Step): string {
  const argument = step.arg === null || step.arg === undefined ? '' : ` ${JSON.stringify(step.arg, printValue)}`;
  return `${step.name}${argument}${step.origin === '' ? '' : `  # ${step.origin}`}`;
}

function printValue(_key: string, value: unknown): unknown {
  if (typeof value === 'function') return undefined;
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (typeof value === 'object' && value !== null && 'name' in value && 'cluster' in value) return value.name;
  return value;
}
