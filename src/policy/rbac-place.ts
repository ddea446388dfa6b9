// What permissions and principals of RBAC have in common: metadata, ranges, paths without their query, and where a
// Problem of them belongs. What is refused says so by its path; nothing is passed over in silence, because a condition
// that is left out would widen what the others say.
import { error, warning, type Problem } from '../base/problem.ts';
import { compileMetadataMatcher, compileValueMatch, valueAt } from '../plan/dynamic-metadata.ts';
import type { Exchange } from '../plan/exchange.ts';
import { compileStringMatch } from '../plan/string-match.ts';
import type { CidrRange } from '../xds/gen/envoy/config/core/v3/address_pb.js';
import { MetadataSource, type SourcedMetadata } from '../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import type { PathMatcher } from '../xds/gen/envoy/type/matcher/v3/path_pb.js';
import { compileBlock, isInBlock } from './rbac-address.ts';
import type { Judge } from './rbac-judge.ts';
import { pathnameOf } from './rbac-path.ts';

export interface RbacPlace {
  readonly problems: Problem[];
  readonly path: string;
  /** How many lists of lists there are around it. */
  readonly depth: number;
}

/** Lists within lists: as deep as a list may be before it is refused. */
export const DEPTH_MAX = 32;

export function inside(place: RbacPlace, name: string): RbacPlace {
  return { problems: place.problems, path: `${place.path}.${name}`, depth: place.depth + 1 };
}

/** Reports and is null, so that a compiler can end with it. */
export function refuse({ problems, path }: RbacPlace, message: string, remedy: string): null {
  problems.push(error(path, message, remedy));
  return null;
}

export function warn({ problems, path }: RbacPlace, message: string): void {
  problems.push(warning(path, message));
}

/** Null when one of them is: a list is compiled whole or not at all. */
export function compileAll<Config>(
  configs: readonly Config[],
  place: RbacPlace,
  compile: (config: Config, place: RbacPlace) => Judge | null,
): readonly Judge[] | null {
  if (configs.length === 0) return refuse(place, 'must not be empty', 'write at least one');
  if (place.depth > DEPTH_MAX) return refuse(place, 'is nested too deeply', `nest at most ${DEPTH_MAX} lists`);
  const judges = configs.map((config, i) => compile(config, { ...place, path: `${place.path}[${i}]` }));
  const sound = judges.filter((judge) => judge !== null);
  return sound.length < judges.length ? null : sound;
}

/** An address of the connection or of the request, compared with a range. */
export function compileRange(config: CidrRange, place: RbacPlace, addressOf: (x: Exchange) => string): Judge | null {
  const block = compileBlock(config, place.problems, place.path);
  return block === null ? null : (x) => isInBlock(addressOf(x), block);
}

/** The path without its query, as it routes. */
export function compileUrlPath({ rule }: PathMatcher, place: RbacPlace): Judge | null {
  if (rule.case !== 'path') return refuse(place, 'has no path', 'write path');
  const holds = compileStringMatch(rule.value, place.problems, `${place.path}.path`);
  return holds === null ? null : ({ request }) => request.path !== '' && holds(pathnameOf(request.path));
}

/** The metadata of filters, or those that the route was configured with. */
export function compileSourced({ metadataMatcher, metadataSource }: SourcedMetadata, place: RbacPlace): Judge | null {
  if (metadataMatcher === undefined) return refuse(place, 'asks for nothing', 'write metadata_matcher');
  const at = `${place.path}.metadata_matcher`;
  if (metadataSource === MetadataSource.DYNAMIC) return compileMetadataMatcher(metadataMatcher, place.problems, at);
  // The matcher says what is wrong with itself.
  if (compileMetadataMatcher(metadataMatcher, place.problems, at) === null) return null;
  const { filter, path, invert: isInverted } = metadataMatcher;
  const keys = path.map(({ segment }) => (segment.case === 'key' ? segment.value : ''));
  const holds = compileValueMatch(metadataMatcher.value, [], '');
  if (holds === null) return null;
  return ({ plan }) => {
    const fields = plan?.metadata?.route[filter];
    return holds(fields === undefined ? undefined : valueAt(fields, keys)) !== isInverted;
  };
}
