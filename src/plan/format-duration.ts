// Commands that measure between two moments of an exchange. A moment that has not come yet makes the
// duration absent.
import { error } from '../base/problem.ts';
import type { Exchange } from './exchange.ts';
import type { Command } from './format-operators.ts';

type Read = (x: Exchange) => number | null;

/** Monotonic milliseconds of a moment; 0 while it has not come. */
type Moment = (x: Exchange) => number;

const begin: Moment = (x) => x.startMs;
const requestEnd: Moment = (x) => x.requestEndMs;
const sendEnd: Moment = (x) =>
  x.upstreamStartMs === 0 || x.requestEndMs === 0 ? 0 : Math.max(x.upstreamStartMs, x.requestEndMs);
const responseBegin: Moment = (x) => (x.isUpstreamResponse ? x.responseStartMs : 0);
const end: Moment = (x) => x.endMs;

const MOMENTS = new Map<string, Moment>([
  ['DS_RX_BEG', begin],
  ['DS_RX_END', requestEnd],
  ['DS_CX_BEG', begin],
  ['DS_CX_END', end],
  ['US_TX_BEG', (x) => x.upstreamStartMs],
  ['US_TX_END', sendEnd],
  ['US_RX_BEG', responseBegin],
  ['US_RX_END', (x) => (x.isUpstreamResponse ? x.endMs : 0)],
  ['DS_TX_BEG', (x) => x.responseStartMs],
  ['DS_TX_END', end],
]);

/** How many of a unit are in a millisecond. */
const PRECISIONS = new Map([
  ['ms', 1],
  ['us', 1e3],
  ['ns', 1e6],
]);

const never: Moment = () => 0;

/** Null for a command of another kind, or after reporting a refused argument. */
export function compileDuration(command: Command): Read | null {
  switch (command.name) {
    case 'DURATION':
      return between(begin, end, 1);
    case 'REQUEST_DURATION':
      return between(begin, requestEnd, 1);
    case 'REQUEST_TX_DURATION':
      return between(begin, sendEnd, 1);
    case 'RESPONSE_DURATION':
      return between(begin, responseBegin, 1);
    case 'RESPONSE_TX_DURATION':
      return between(responseBegin, end, 1);
    case 'COMMON_DURATION':
      return compileCommon(command);
    default:
      return null;
  }
}

function compileCommon(command: Command): Read | null {
  const [from = '', to = '', precision = '', ...more] = (command.argument ?? '').split(':');
  const scale = PRECISIONS.get(precision);
  if (from === '' || to === '' || scale === undefined || more.length > 0) {
    command.problems.push(
      error(command.path, `%${command.name}% needs START:END:PRECISION, with ms, us or ns for the precision`),
    );
    return null;
  }
  return between(MOMENTS.get(from) ?? never, MOMENTS.get(to) ?? never, scale);
}

function between(from: Moment, to: Moment, scale: number): Read {
  return (x) => {
    const fromMs = from(x);
    const toMs = to(x);
    return fromMs === 0 || toMs === 0 ? null : Math.floor((toMs - fromMs) * scale);
  };
}
