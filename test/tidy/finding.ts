// What a tidy rule finds, and the ratchet that lets an old finding stand while no new one may come. Every
// message names the remedy, because the reader is somebody whose change was just refused.
import type { Source } from './source.ts';

export interface Finding {
  /** `src/a/b.ts:12` */
  readonly place: string;
  readonly path: string;
  readonly message: string;
}

export type Rule = (source: Source) => Finding[];

/** How many findings of one rule in one file are accepted today, and why. Numbers only ever go down. */
export interface Notch {
  readonly path: string;
  readonly count: number;
  readonly reason: string;
}

export function finding(source: Source, offset: number, message: string): Finding {
  return { place: `${source.path}:${source.lineAt(offset)}`, path: source.path, message };
}

/** The findings that no notch covers, and the notches that are looser than they need be, as lines of text. */
export function judge(findings: readonly Finding[], notches: readonly Notch[]): string[] {
  const byPath = Map.groupBy(findings, ({ path }) => path);
  const complaints: string[] = [];
  for (const [path, list] of byPath) {
    const allowed = notches.find((notch) => notch.path === path)?.count ?? 0;
    if (list.length > allowed) complaints.push(...list.map(({ place, message }) => `${place}: ${message}`));
  }
  for (const { path, count } of notches) {
    const actual = byPath.get(path)?.length ?? 0;
    if (actual < count)
      complaints.push(`${path}: the ratchet allows ${count} and there are ${actual}: lower it in test/tidy/ratchet.ts`);
  }
  return complaints;
}
