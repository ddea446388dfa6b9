// What travels with each listening socket from a sidecar to its successor: whose it is. Records of another
// version of the program are outside data: what is not understood is null.

export type SocketRole = 'listener' | 'admin' | 'readiness' | 'metrics' | 'status' | 'pages';

export interface SocketRecord {
  readonly role: SocketRole;
  /** As configured, not as bound: an address with port 0 is never handed over. */
  readonly address: string;
  readonly port: number;
}

export interface OpenSocket extends SocketRecord {
  readonly descriptor: number;
}

/** Closes the list. */
export const END_RECORD = 'end';
/** First line of the successor; the number is the version of the protocol. */
export const HELLO = 'outrigger-handover 1\n';
/** The successor serves; and the answer of the one that leaves, whose sockets are closed by then. */
export const READY = 'ready\n';
export const LEFT = 'left\n';
/** A sidecar with more listening sockets hands over the first ones only. */
export const SOCKETS_MAX = 4096;

const ROLES: readonly SocketRole[] = ['listener', 'admin', 'readiness', 'metrics', 'status', 'pages'];

export function formatRecord({ role, address, port }: SocketRecord): string {
  return JSON.stringify({ role, address, port });
}

export function parseRecord(text: string): SocketRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { role, address, port } = { role: undefined, address: undefined, port: undefined, ...value };
  const known = ROLES.find((one) => one === role);
  if (known === undefined || typeof address !== 'string' || typeof port !== 'number') return null;
  return { role: known, address, port };
}
