// localityLbSetting of a DestinationRule's traffic policy and of MeshConfig: where the callers of a locality are
// sent (distribute), or where they go when their own has too little (failover, failoverPriority).
import type { Fields } from './fields.ts';

export interface LocalitySetting {
  /** False switches off what a wider setting says. */
  readonly isEnabled: boolean;
  /** `REGION/ZONE/SUBZONE`, each of them possibly `*` or left out at the end, to percentages that add up to 100. */
  readonly distribute: readonly { readonly from: string; readonly to: ReadonlyMap<string, number> }[];
  /** Regions. */
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /** Labels `KEY` or `KEY=VALUE`, the most important first. */
  readonly failoverPriority: readonly string[];
}

const ALL_PERCENT = 100;

export function readLocalitySetting(fields: Fields): LocalitySetting {
  fields.exclusive('distribute', 'failover');
  fields.exclusive('distribute', 'failoverPriority');
  return {
    isEnabled: fields.flag('enabled') ?? true,
    distribute: fields.list('distribute', (entry) => {
      const from = entry.requiredText('from', 'add from: REGION/ZONE/*');
      const to = entry.object('to', readShares) ?? new Map<string, number>();
      const sum = [...to.values()].reduce((all, one) => all + one, 0);
      if (sum !== ALL_PERCENT) entry.error('to', `the shares add up to ${sum}`, 'make them add up to 100');
      return { from, to };
    }),
    failover: fields.list('failover', (entry) => {
      const from = entry.requiredText('from', 'add from: REGION');
      const to = entry.requiredText('to', 'add to: REGION');
      if (from !== '' && from === to) entry.error('to', `${to} is where it comes from`, 'name another region');
      for (const [name, value] of Object.entries({ from, to })) {
        if (/[/*]/.test(value)) entry.error(name, `"${value}" is not a region`, 'write a region alone');
      }
      return { from, to };
    }),
    failoverPriority: fields.texts('failoverPriority'),
  };
}

function readShares(fields: Fields): ReadonlyMap<string, number> {
  return new Map(fields.names().map((key) => [key, fields.integer(key, { min: 0, max: ALL_PERCENT }) ?? 0]));
}
