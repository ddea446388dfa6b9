// Values of header edits are formats (`%REQ(x)%`), in which a lone `%` is an error: one such value would have
// every sidecar refuse all of its routes. So a value that is no format is taken literally, and a Problem says so.
import type { Problem } from '../../base/problem.ts';
import type { Headers } from '../../config/virtual-service.ts';
import { compileFormat } from '../../plan/format.ts';

/** The value as it is when it is a format, else with each `%` doubled, which is the text itself. */
export function soundFormat(value: string): string {
  return faultOf(value) === null ? value : value.replaceAll('%', '%%');
}

/** A warning for each value that is not a format; `locate` gives the Problem its place. */
export function checkFormats({ request, response }: Headers, path: string, locate: (path: string) => Problem['place']) {
  const problems: Problem[] = [];
  for (const [side, edits] of [
    ['request', request],
    ['response', response],
  ] as const) {
    for (const [action, values] of [
      ['set', edits.set],
      ['add', edits.add],
    ] as const) {
      for (const [name, value] of values) {
        const fault = faultOf(value);
        if (fault === null) continue;
        const at = `${path}.headers.${side}.${action}.${name}`;
        const message = `${fault.message}; the value is taken as it stands`;
        problems.push({ severity: 'warning', path: at, message, remedy: fault.remedy, place: locate(at) });
      }
    }
  }
  return problems;
}

function faultOf(value: string): Problem | null {
  if (!value.includes('%')) return null;
  const problems: Problem[] = [];
  compileFormat(value, problems, '');
  return problems[0] ?? null;
}
