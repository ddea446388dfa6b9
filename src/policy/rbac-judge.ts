// @hot
// What one condition of RBAC says of an exchange, and how conditions are put together: flat lists that are walked
// by index, made once. What holds for everything, or for nothing, is folded away when it is compiled.
// Source: Envoy source/extensions/filters/common/rbac/matchers.cc.
import type { Connection, Exchange } from '../plan/exchange.ts';

export type Judge = (x: Exchange) => boolean;

export const ALWAYS: Judge = () => true;
export const NEVER: Judge = () => false;

/** Holds when one of them does: config time. */
export function anyOf(judges: readonly Judge[]): Judge {
  if (judges.includes(ALWAYS)) return ALWAYS;
  const list = judges.filter((judge) => judge !== NEVER);
  const [only] = list;
  if (only === undefined) return NEVER;
  if (list.length === 1) return only;
  return (x) => {
    for (let i = 0; i < list.length; i++) if ((list[i] as Judge)(x)) return true;
    return false;
  };
}

/** Holds when all of them do: config time. */
export function allOf(judges: readonly Judge[]): Judge {
  if (judges.includes(NEVER)) return NEVER;
  const list = judges.filter((judge) => judge !== ALWAYS);
  const [only] = list;
  if (only === undefined) return ALWAYS;
  if (list.length === 1) return only;
  return (x) => {
    for (let i = 0; i < list.length; i++) if (!(list[i] as Judge)(x)) return false;
    return true;
  };
}

/** Holds when `judge` does not: config time. */
export function notOf(judge: Judge): Judge {
  if (judge === ALWAYS) return NEVER;
  if (judge === NEVER) return ALWAYS;
  return (x) => !judge(x);
}

/** Of what cannot change while a connection lasts: asked once for each of them. Config time. */
export function oncePerConnection(holds: (connection: Connection) => boolean): Judge {
  const known = new WeakMap<Connection, boolean>();
  return ({ connection }) => {
    const found = known.get(connection);
    if (found !== undefined) return found;
    const verdict = holds(connection);
    known.set(connection, verdict);
    return verdict;
  };
}
