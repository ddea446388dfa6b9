// Compiles `sticky_split` of a route's metadata `outrigger`, which ResiliencePolicy's stickySplit becomes:
//
//   {header: NAME} or {cookie: {name, ttl_seconds?, path?}} or {identity: true}
//
// ttl_seconds 0 or absent: a session cookie. path: `/` by default.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { Hash64 } from '../base/hash64.ts';
import { error } from '../base/problem.ts';
import { headerSource } from '../plan/header-source.ts';
import type { CompileEnv } from '../plan/plan.ts';
import { wireText } from '../plan/wire-text.ts';
import type { StickySplit } from './sticky-split.ts';

export const STICKY_SPLIT = 'sticky_split';

/** `names` are those of the destinations, in their order. Null when the route has none, or it is refused. */
export function compileStickySplit(
  metadata: JsonObject | undefined,
  names: readonly string[],
  env: CompileEnv,
  path: string,
): StickySplit | null {
  const config = metadata?.[STICKY_SPLIT];
  if (config === undefined) return null;
  const at = `${path}.metadata.filter_metadata.outrigger.${STICKY_SPLIT}`;
  const plain = { header: null, cookie: '', attributes: '', isIdentity: false, seeds: seedsOf(names) };
  const nothing = { ...plain, random: env.random };
  const { header, cookie, identity } = isObject(config) ? config : {};
  if (typeof header === 'string' && header !== '') return { ...nothing, header: headerSource(header) };
  if (identity === true) return { ...nothing, isIdentity: true };
  const name = isObject(cookie) ? cookie['name'] : undefined;
  if (isObject(cookie) && typeof name === 'string' && name !== '') {
    return { ...nothing, cookie: wireText(name), attributes: attributesOf(cookie) };
  }
  env.problems.push(error(at, 'says not what is sticky', 'write header, cookie with a name, or identity: true'));
  return null;
}

function attributesOf(cookie: JsonObject): string {
  const { ttl_seconds: ttl, path } = cookie;
  const age = typeof ttl === 'number' && ttl > 0 ? `; Max-Age=${Math.floor(ttl)}` : '';
  return `${age}; Path=${typeof path === 'string' && path !== '' ? wireText(path) : '/'}; HttpOnly`;
}

/** A name that comes again is another destination. */
function seedsOf(names: readonly string[]): Uint32Array {
  const hash = new Hash64();
  const seeds = new Uint32Array(names.length * 2);
  for (const [index, name] of names.entries()) {
    const before = names.slice(0, index).filter((other) => other === name).length;
    hash.xx(wireText(before === 0 ? name : `${name}#${before}`));
    seeds[2 * index] = hash.high;
    seeds[2 * index + 1] = hash.low;
  }
  return seeds;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
