// The step that says which endpoints' metadata a route wants (metadata_match of the route and of the entry of
// a weighted split, which is merged over it). A cluster without subsets does not look at it.
import type { Exchange } from '../plan/exchange.ts';
import { compileMetadataMatch, type MetadataMatch } from '../plan/metadata-match.ts';
import { CONTINUE, EMPTY, type Origin, type Step, type Verdict } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import type { RouteAction } from '../xds/gen/envoy/config/route/v3/route_components_pb.js';

interface Subsets {
  /** Where no split chose; by the index of the entry where one did. */
  readonly plain: MetadataMatch | null;
  readonly bySplit: readonly (MetadataMatch | null)[];
}

export function subsetSteps(action: RouteAction, origin: Origin): readonly Step[] {
  const { metadataMatch, clusterSpecifier: specifier } = action;
  const entries = specifier.case === 'weightedClusters' ? specifier.value.clusters : [];
  const plain = compileMetadataMatch(metadataMatch);
  const bySplit = entries.map((entry) => compileMetadataMatch(metadataMatch, entry.metadataMatch));
  if (plain === null && bySplit.every((match) => match === null)) return EMPTY;
  return [step('subset', origin, runSubset, { plain, bySplit })];
}

function runSubset(x: Exchange, arg: Subsets): Verdict {
  x.subsetMatch = x.splitIndex === -1 ? arg.plain : (arg.bySplit[x.splitIndex] ?? null);
  return CONTINUE;
}
