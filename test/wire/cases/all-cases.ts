// Every wire case: those that were given as data, and those that tables here make.
import { ownResponses } from './own-responses.ts';
import { ownRequests } from './own-requests.ts';
import { readCases, type WireCase } from './wire-case.ts';

/** What waits for upgrades and for the timeout of a request's body; to be emptied by them. */
const PENDING: ReadonlySet<string> = new Set([
  'req-incomplete-body-stall',
  'req-upgrade-early-bytes-refused',
  'req-upgrade-websocket',
  'req-upgrade-with-body',
  'res-101-ok',
]);

export function allCases(): readonly WireCase[] {
  return [...readCases(), ...ownRequests(), ...ownResponses()];
}

export function isPending({ name }: WireCase): boolean {
  return PENDING.has(name);
}
