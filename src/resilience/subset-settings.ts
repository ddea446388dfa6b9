// The subsets of a cluster, as lb_subset_config defines them: which keys of the endpoints' metadata divide
// them, and where a request goes whose metadata no subset has.
// Source: Envoy Cluster.LbSubsetConfig and its validation rules.
import type { JsonObject } from '@bufbuild/protobuf';
import { error } from '../base/problem.ts';
import { canonicalText } from '../plan/metadata-match.ts';
import type { CompileEnv } from '../plan/plan.ts';
import {
  Cluster_LbSubsetConfig_LbSubsetFallbackPolicy as Fallback,
  Cluster_LbSubsetConfig_LbSubsetMetadataFallbackPolicy as MetadataFallback,
  Cluster_LbSubsetConfig_LbSubsetSelector_LbSubsetSelectorFallbackPolicy as SelectorFallback,
  type Cluster_LbSubsetConfig,
  type Cluster_LbSubsetConfig_LbSubsetSelector,
} from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';

export type SubsetFallback = 'none' | 'any' | 'default';

export interface SubsetSelector {
  /** Sorted. */
  readonly keys: readonly string[];
  /** Null: as the cluster says. `keys`: look again with `fallbackKeys` only. */
  readonly fallback: SubsetFallback | 'keys' | null;
  readonly fallbackKeys: ReadonlySet<string>;
  /** True: one endpoint for each value, whatever its health. */
  readonly isSingle: boolean;
}

export interface SubsetSettings {
  readonly selectors: readonly SubsetSelector[];
  readonly fallback: SubsetFallback;
  /** Key to canonical JSON text. */
  readonly defaultSubset: ReadonlyMap<string, string>;
  readonly weighsLocalities: boolean;
  readonly scalesLocalities: boolean;
  /** True: when the fallback has no endpoint, any of the cluster does. */
  readonly panicsToAny: boolean;
  /** True: a list in an endpoint's metadata is each of its elements. */
  readonly listsAreAny: boolean;
  readonly triesVariants: boolean;
}

/** Null where there are no selectors: then there are no subsets. */
export function compileSubsets(
  config: Cluster_LbSubsetConfig | undefined,
  { problems }: Pick<CompileEnv, 'problems'>,
  path: string,
): SubsetSettings | null {
  if (config === undefined || config.subsetSelectors.length === 0) return null;
  const selectors = config.subsetSelectors.map((selector, index) =>
    compileSelector(selector, { problems }, `${path}.subset_selectors[${index}]`),
  );
  if (config.metadataFallbackPolicy > MetadataFallback.FALLBACK_LIST) {
    problems.push(error(`${path}.metadata_fallback_policy`, 'has no meaning'));
  }
  return Object.freeze({
    selectors,
    fallback: fallbackOf(config.fallbackPolicy),
    defaultSubset: textsOf(config.defaultSubset ?? {}),
    weighsLocalities: config.localityWeightAware,
    scalesLocalities: config.scaleLocalityWeight,
    panicsToAny: config.panicModeAny,
    listsAreAny: config.listAsAny,
    triesVariants: config.metadataFallbackPolicy === MetadataFallback.FALLBACK_LIST,
  });
}

function compileSelector(
  selector: Cluster_LbSubsetConfig_LbSubsetSelector,
  { problems }: Pick<CompileEnv, 'problems'>,
  path: string,
): SubsetSelector {
  const keys = [...new Set(selector.keys)].toSorted();
  const fallbackKeys = new Set(selector.fallbackKeysSubset);
  if (selector.singleHostPerSubset && keys.length !== 1) {
    problems.push(error(`${path}.single_host_per_subset`, 'needs exactly one key', 'write one key'));
  }
  if (selector.fallbackPolicy === SelectorFallback.KEYS_SUBSET) {
    const at = `${path}.fallback_keys_subset`;
    if (fallbackKeys.size === 0) problems.push(error(at, 'must not be empty', 'name some of the keys'));
    else if ([...fallbackKeys].some((key) => !keys.includes(key))) {
      problems.push(error(at, 'names a key that the selector has not', 'name some of the keys'));
    } else if (fallbackKeys.size === keys.length) {
      problems.push(error(at, 'must not be all of the keys', 'leave one out'));
    }
  }
  return {
    keys,
    fallback: selectorFallbackOf(selector.fallbackPolicy),
    fallbackKeys,
    isSingle: selector.singleHostPerSubset,
  };
}

function fallbackOf(policy: Fallback): SubsetFallback {
  if (policy === Fallback.ANY_ENDPOINT) return 'any';
  return policy === Fallback.DEFAULT_SUBSET ? 'default' : 'none';
}

function selectorFallbackOf(policy: SelectorFallback): SubsetSelector['fallback'] {
  switch (policy) {
    case SelectorFallback.NO_FALLBACK:
      return 'none';
    case SelectorFallback.ANY_ENDPOINT:
      return 'any';
    case SelectorFallback.DEFAULT_SUBSET:
      return 'default';
    case SelectorFallback.KEYS_SUBSET:
      return 'keys';
    default:
      return null;
  }
}

function textsOf(fields: JsonObject): ReadonlyMap<string, string> {
  return new Map(Object.entries(fields).map(([key, value]) => [key, canonicalText(value)]));
}
