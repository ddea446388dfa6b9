// Says each Problem once: when it appears, and that it is gone when it is corrected.
import type { Log } from '../base/log.ts';
import { formatProblem } from '../base/problem.ts';
import type { Problem } from '../base/problem.ts';

export class ProblemLog {
  readonly #log: Log;
  #said = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  update(problems: readonly Problem[]): void {
    const now = new Set<string>();
    for (const problem of problems) {
      const text = formatProblem(problem);
      now.add(text);
      if (this.#said.has(text)) continue;
      const { place, path } = problem;
      const fields = {
        problem: text,
        file: place?.file ?? '',
        line: place?.line ?? 0,
        column: place?.column ?? 0,
        path,
      };
      if (problem.severity === 'error')
        this.#log.error(`rule refused, its last good version stays in force: ${text}`, fields);
      else this.#log.warning(`rule accepted with a doubt: ${text}`, fields);
    }
    for (const text of this.#said) if (!now.has(text)) this.#log.info(`problem solved: ${text}`);
    this.#said = now;
  }
}
