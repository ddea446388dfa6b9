// @hot
// A change of protocol on an HTTP/1.1 connection (RFC 9110 section 7.8): which of the protocols that a client
// offers is taken, and the fields that say so to the next hop and back. Only what upgrade_configs names is
// passed on; `h2c` is always left out, because a request smuggled inside it would meet no policy.
import type { Head } from '../http/head.ts';
import { H } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { UpgradeRule, UpgradeRules } from '../plan/plan.ts';

/** The value of x.upgrade for the method CONNECT. */
export const CONNECT = 'CONNECT';
const CONNECT_RULE = 'connect';

/**
 * Notes on `x` what its request offers, and lays the fields for it, so that routes may ask for them. `offer`
 * is the Upgrade field of a request whose Connection field says so.
 */
export function offerUpgrade(x: Exchange, offer: string): void {
  const protocols = withoutH2c(offer);
  x.upgrade = protocols;
  if (protocols !== '') layFields(x.request, protocols);
}

/** Chooses among the protocols offered by `x`; false when none is allowed. The route's rules win. */
export function chooseUpgrade(x: Exchange, own: UpgradeRules | undefined, usual: UpgradeRules | null): boolean {
  if (x.upgrade === CONNECT) return isAllowed(ruleOf(CONNECT_RULE, own, usual));
  const offer = x.upgrade;
  let start = 0;
  while (start < offer.length) {
    const comma = offer.indexOf(',', start);
    const end = comma === -1 ? offer.length : comma;
    const protocol = offer.slice(start, end).trim();
    if (isAllowed(ruleOf(protocol.toLowerCase(), own, usual))) {
      if (protocol !== offer) x.request.set(H.upgrade, protocol);
      x.upgrade = protocol;
      return true;
    }
    start = end + 1;
  }
  return false;
}

/** True when a tunnel that is asked for by CONNECT ends here (connect_config of the route). */
export function isTerminated(own: UpgradeRules | undefined): boolean {
  const rule = ruleOf(CONNECT_RULE, own, null);
  return rule !== null && rule.isTerminated;
}

/** True when `answer`, the Upgrade field of a 101, is what was asked for. */
export function isAnswerTo(upgrade: string, answer: string): boolean {
  return upgrade !== '' && upgrade.toLowerCase() === answer.toLowerCase();
}

/** The fields of a message that changes the protocol. */
export function layFields(head: Head, protocol: string): void {
  head.add(H.connection, 'upgrade');
  head.add(H.upgrade, protocol);
}

function ruleOf(protocol: string, own: UpgradeRules | undefined, usual: UpgradeRules | null): UpgradeRule | null {
  const rule = own === undefined ? undefined : own.get(protocol);
  if (rule !== undefined) return rule;
  return usual === null ? null : (usual.get(protocol) ?? null);
}

function isAllowed(rule: UpgradeRule | null): boolean {
  return rule !== null && rule.isAllowed;
}

function withoutH2c(offer: string): string {
  const lower = offer.toLowerCase();
  if (lower.indexOf('h2c') === -1) return offer;
  let kept = '';
  let start = 0;
  while (start < offer.length) {
    const comma = offer.indexOf(',', start);
    const end = comma === -1 ? offer.length : comma;
    const protocol = offer.slice(start, end).trim();
    if (protocol !== '' && protocol.toLowerCase() !== 'h2c') kept += kept === '' ? protocol : ', ' + protocol;
    start = end + 1;
  }
  return kept;
}
