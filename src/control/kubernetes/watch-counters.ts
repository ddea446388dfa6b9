// How watching an API server goes, as metrics: how many kinds are watched and how many of them are not whole yet, how often
// something was listed or a watch went on where it was, and what went wrong, by reason.
import type { Reflector } from '../../kube/reflector.ts';

/** What does not depend on what is kept of objects. */
export type Watching = Pick<Reflector<unknown>, 'what' | 'isSynced' | 'complaint' | 'counters' | 'hearAnswer'>;

export function watchCounters(reflectors: readonly Watching[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>([
    ['outrigger_kube_watched', reflectors.length],
    ['outrigger_kube_unsynced', reflectors.filter(({ isSynced }) => !isSynced).length],
    // Of those that are in trouble now what is known may be old.
    ['outrigger_kube_troubled', reflectors.filter(({ complaint }) => complaint !== '').length],
  ]);
  const add = (name: string, by: number): void => void counts.set(name, (counts.get(name) ?? 0) + by);
  for (const reflector of reflectors) {
    const { lists, resumes, events, failures } = reflector.counters();
    add('outrigger_kube_lists_total', lists);
    add('outrigger_kube_resumes_total', resumes);
    add('outrigger_kube_events_total', events);
    for (const [reason, count] of Object.entries(failures))
      add(`outrigger_kube_failures_total{reason="${reason.replaceAll(/[^A-Za-z0-9 _-]/g, '_')}"}`, count);
  }
  return counts;
}
