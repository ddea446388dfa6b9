// Every wire case: those that were given as data, and those that tables here make.
import { ownResponses } from './own-responses.ts';
import { ownRequests } from './own-requests.ts';
import { readCases, type WireCase } from './wire-case.ts';

export function allCases(): readonly WireCase[] {
  return [...readCases(), ...ownRequests(), ...ownResponses()];
}
