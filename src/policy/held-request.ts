// @hot
// Asks the driver to take the body of a request in before the filter goes on (Exchange.holdBytesMax). A request that
// has no body, or wants to change the protocol, goes on at once.
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, PAUSE, type Verdict } from '../plan/plan.ts';
import type { AuthzSettings } from './ext-authz-settings.ts';

/** Only where the filter asks at all: a body that nobody looks at is not held. */
export function holdForAuthz(x: Exchange, { body, isEnabled }: AuthzSettings): Verdict {
  if (body === null || x.upgrade !== '' || (isEnabled !== null && !isEnabled(x))) return CONTINUE;
  x.holdBytesMax = body.bytesMax;
  x.holdsPartial = body.allowsPartial;
  return PAUSE;
}
