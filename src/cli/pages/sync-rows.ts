// What the control service knows of who is connected (`/debug/syncz`), read into rows: which version of each type was sent
// to a node, which one it has taken, and what it said about one that it refused.
import { listOf, recordOf, textOf } from '../../kube/json-record.ts';

export interface SyncType {
  /** `CDS`, `LDS` …; of a type without a short name the last part of its URL. */
  readonly name: string;
  /** `synced`, `stale`, `error` or `not-sent`. */
  readonly state: string;
  readonly sentVersion: string;
  readonly ackedVersion: string;
  readonly lastError: string;
}

export interface SyncRow {
  readonly nodeId: string;
  /** `NAME.NAMESPACE` of the id; the id itself when it is not of that form. */
  readonly name: string;
  readonly protocol: string;
  readonly types: readonly SyncType[];
}

const SHORT_NAMES: Readonly<Record<string, string>> = {
  Cluster: 'CDS',
  Listener: 'LDS',
  ClusterLoadAssignment: 'EDS',
  RouteConfiguration: 'RDS',
  Secret: 'SDS',
  VirtualHost: 'VHDS',
};

export function readSyncRows(page: unknown): readonly SyncRow[] {
  const rows = listOf(page).map((row) => {
    const { nodeId, protocol, types } = recordOf(row);
    const id = textOf(nodeId);
    return { nodeId: id, name: id.split('~')[2] ?? id, protocol: textOf(protocol), types: listOf(types).map(readType) };
  });
  return rows.toSorted((left, right) => (left.name < right.name ? -1 : 1));
}

/** It has taken everything that it was sent. What it never was sent does not count. */
export function isInSync({ types }: SyncRow): boolean {
  return types.every(({ state }) => state === 'synced' || state === 'not-sent');
}

/** By id, name, or the beginning of a name that only one has; a text says why it is none. */
export function chooseRow(rows: readonly SyncRow[], wanted: string): SyncRow | string {
  const exact = rows.find(({ nodeId, name }) => nodeId === wanted || name === wanted);
  if (exact !== undefined) return exact;
  const [first, ...others] = rows.filter(({ name }) => name.startsWith(wanted));
  if (first === undefined) return `no node "${wanted}" is connected; \`outrigger status\` lists them`;
  if (others.length === 0) return first;
  return `"${wanted}" is ${[first, ...others].map(({ name }) => name).join(', ')}: write more of it`;
}

function readType(value: unknown): SyncType {
  const { typeUrl, state, sentVersion, ackedVersion, lastError } = recordOf(value);
  const last = textOf(typeUrl).split('.').at(-1) ?? '';
  return {
    name: SHORT_NAMES[last] ?? last,
    state: textOf(state),
    sentVersion: textOf(sentVersion),
    ackedVersion: textOf(ackedVersion),
    lastError: textOf(lastError),
  };
}
