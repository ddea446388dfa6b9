// The rules that the control service refuses right now, as lines for people, from its `/debug/problems`.
// Warnings are left out; what the answer holds beyond that is not looked at.
import { request } from 'undici';
import { error, formatProblem, type Place } from '../../base/problem.ts';

/** Empty when all is well, and when the control service does not answer. */
export async function readRefusedRules(httpPort: number): Promise<string[]> {
  try {
    const answer = await request(`http://127.0.0.1:${httpPort}/debug/problems`, { headersTimeout: 2_000 });
    return linesOf(await answer.body.json());
  } catch {
    // It is starting or away; what it said before may no longer hold.
    return [];
  }
}

/** One line for each error in a JSON list of Problems. */
export function linesOf(problems: unknown): string[] {
  if (!Array.isArray(problems)) return [];
  return problems.flatMap((problem: unknown) => {
    const fields = recordOf(problem);
    if (fields.get('severity') !== 'error') return [];
    const place = placeOf(recordOf(fields.get('place')));
    return [formatProblem(error(textOf(fields, 'path'), textOf(fields, 'message'), textOf(fields, 'remedy'), place))];
  });
}

function placeOf(fields: ReadonlyMap<string, unknown>): Place | null {
  const [file, line, column] = [fields.get('file'), fields.get('line'), fields.get('column')];
  return typeof file === 'string' && typeof line === 'number' && typeof column === 'number'
    ? { file, line, column }
    : null;
}

function recordOf(value: unknown): ReadonlyMap<string, unknown> {
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}

function textOf(fields: ReadonlyMap<string, unknown>, name: string): string {
  const value = fields.get(name);
  return typeof value === 'string' ? value : '';
}
