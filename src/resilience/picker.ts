// Builds the momentary Picker of a cluster: which endpoints may be used at all (priority, health, panic,
// locality), then the balancer over them. A Picker is never changed: whatever changes here makes
// another one, so a pick looks at nothing but its own arrays. What is no choice is left out: endpoints
// of one priority and no locality weights, none of them degraded, are their balancer itself.
//
//   members ─► priorities (PriorityPicker) ─► localities (WeightedLocalities, ZoneAwareLocalities) ─► balancer
import { systemClock } from '../base/clock.ts';
import type { Endpoint, Picker } from '../plan/cluster.ts';
import { DEFAULT_POLICY, type AssignmentPolicy } from './assignment-policy.ts';
import { isHashing, makeBalancer } from './balancer.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import { hostSetsOf, NO_ENDPOINTS, type HostSet, type Member } from './host-set.ts';
import { buildLocalities, type LocalZone } from './locality-build.ts';
import { loadsOf } from './priority-load.ts';
import { Level, PriorityPicker, type Side } from './priority-picker.ts';
import { SubsetIndex } from './subset-index.ts';
import { SubsetPicker } from './subset-picker.ts';

export type PickerSettings = Pick<
  ClusterSettings,
  'balancing' | 'weighsLocalities' | 'panicThresholdPercent' | 'zoneAware' | 'subsets'
>;

export interface PickerContext {
  readonly settings: PickerSettings;
  readonly policy: AssignmentPolicy;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Where this sidecar is, and where its like are; null when that is not known. */
  readonly zone: LocalZone | null;
  /** Stands before each balancer of the cluster; null or absent: nothing does. */
  readonly trial?: Trial | null;
}

/** Makes the picker that lets ejected endpoints among the members be tried. Config time. */
export type Trial = (balancer: Balanced) => Picker;

/** A balancer and whom it is for: the members of a cluster, or of a subset. */
export interface Balanced {
  readonly picker: Picker;
  readonly members: readonly Member[];
  /** What it would be if these were fit; null when it does not go by a hash. */
  readonly asIfFit: ((endpoints: ReadonlySet<Endpoint>) => Picker) | null;
}

export function buildPicker(
  members: readonly Member[],
  settings: PickerSettings,
  random: () => number,
  {
    policy = DEFAULT_POLICY,
    zone = null,
    now = () => systemClock.now(),
  }: Partial<Pick<PickerContext, 'policy' | 'zone' | 'now'>> = {},
): Picker {
  const context: PickerContext = { settings, policy, random, now, zone };
  return clusterPicker(members, hostSetsOf(members, policy), context);
}

/** `sets` are those of `members`. */
export function clusterPicker(members: readonly Member[], sets: readonly HostSet[], context: PickerContext): Picker {
  const { settings, policy } = context;
  const { subsets } = settings;
  if (subsets === undefined || subsets === null) return pickerOf(sets, context);
  const weighsLocalities = settings.weighsLocalities && subsets.weighsLocalities;
  const inner: PickerContext = { ...context, settings: { ...settings, weighsLocalities } };
  const index = new SubsetIndex(members, subsets, (some) => pickerOf(hostSetsOf(some, policy), inner));
  return new SubsetPicker(index, isHashing(settings.balancing));
}

function pickerOf(sets: readonly HostSet[], context: PickerContext): Picker {
  const picker = balancedOf(sets, context);
  const { trial = null, policy, settings } = context;
  if (trial === null) return picker;
  const members = sets.flatMap(({ all }) => all);
  const asIfFit = (tried: ReadonlySet<Endpoint>): Picker => balancedOf(hostSetsOf(members, policy, tried), context);
  return trial({ picker, members, asIfFit: isHashing(settings.balancing) ? asIfFit : null });
}

function balancedOf(sets: readonly HostSet[], context: PickerContext): Picker {
  const { settings, random } = context;
  const loads = loadsOf(
    sets.map(({ health }) => health),
    settings.panicThresholdPercent,
  );
  const levels = sets.map((set) => new Level(set.priority, set.health, (side) => sidePicker(set, side, context)));
  const [only] = levels;
  if (only === undefined) return NO_ENDPOINTS;
  if (levels.length === 1 && loads.isPanicking[0] === true) return only.all;
  if (levels.length === 1 && loads.healthy[0] === 100) return only.healthy;
  if (levels.length === 1 && loads.degraded[0] === 100) return only.degraded;
  return new PriorityPicker({ levels, loads, isHashed: isHashing(settings.balancing), random });
}

function sidePicker(set: HostSet, side: Side, context: PickerContext): Picker {
  if (side === 'all') {
    return context.settings.zoneAware?.failsOnPanic === true ? NO_ENDPOINTS : balancerOver(set.all, context);
  }
  // A table has its localities in it: a key must not depend on whose turn it is.
  if (isHashing(context.settings.balancing)) return balancerOver(set[side], context, set.all);
  const localities = buildLocalities(set, side, context, (members) => balancerOver(members, context));
  return localities ?? balancerOver(set[side], context);
}

function balancerOver(members: readonly Member[], context: PickerContext, all = members): Picker {
  const { settings, random, now } = context;
  const { balancing, weighsLocalities } = settings;
  return makeBalancer(members, { balancing, weighsLocalities, random, now }, all);
}
