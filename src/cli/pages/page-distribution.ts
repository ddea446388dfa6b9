// Whether rules are with all sidecars, as the pages of one control service tell: first that the very content is in force and
// has been handed to all streams, then that every stream has taken what it was sent. Asked in this order, what is acknowledged
// has the rules in it.
import { fingerprintOf } from '../../config/fingerprint.ts';
import { resourceKey, type Resource } from '../../config/resource.ts';
import { listOf, recordOf, textOf } from '../../kube/json-record.ts';
import type { PageSource } from './control-pages.ts';
import { isInSync, readSyncRows } from './sync-rows.ts';

export interface Lookup {
  /** What is not there yet, one line each; none: all is. */
  missing(): Promise<readonly string[]>;
  close(): Promise<void>;
}

export function distributionOnPages(pages: PageSource, resources: readonly Resource[]): Lookup {
  // Of a Secret nothing is told.
  const wanted = resources.filter(({ kind }) => kind !== 'Secret');
  return {
    close: () => Promise.resolve(),
    async missing() {
      const page = await pages.json('/debug/rules');
      if (page.kind === 'failed') return [page.message];
      const { isCurrent, rules } = recordOf(page.value);
      const known = new Map(
        listOf(rules).map((rule) => {
          const { key, fingerprint } = recordOf(rule);
          return [textOf(key), textOf(fingerprint)] as const;
        }),
      );
      const lines: string[] = [];
      for (const resource of wanted) {
        const key = resourceKey(resource.kind, resource.meta);
        const found = known.get(key);
        if (found === undefined) lines.push(`${key} is not known to the control service`);
        else if (found !== fingerprintOf(resource)) lines.push(`${key} is in force with other content`);
      }
      if (lines.length > 0) return lines;
      if (isCurrent !== true) return ['the control service has changes that it has not sent yet'];
      const sync = await pages.json('/debug/syncz');
      if (sync.kind === 'failed') return [sync.message];
      return readSyncRows(sync.value)
        .filter((row) => !isInSync(row))
        .map(({ name, types }) => `${name} has not taken ${types.map(wordOf).filter(Boolean).join(', ')}`);
    },
  };
}

function wordOf({
  name,
  state,
  lastError,
}: {
  readonly name: string;
  readonly state: string;
  readonly lastError: string;
}): string {
  if (state === 'synced' || state === 'not-sent') return '';
  return lastError === '' ? name : `${name} (${lastError})`;
}
