// A Plan is a route's whole life, compiled once and flattened: four phases of Steps that a runner
// walks by index. An unused phase is the shared EMPTY array. Parts are merged in onion order: the
// request phases in the order given, the response phases in reverse.
import type { JsonObject } from '@bufbuild/protobuf';
import type { RouteId } from '../base/brand.ts';
import type { Problem } from '../base/problem.ts';
import type { ClusterRef } from './cluster.ts';
import type { Exchange } from './exchange.ts';

export const CONTINUE = 0;
/** The step waits; the driver goes on at `x.pc` after `x.pauseMs`, or when the step's callback resumes it. */
export const PAUSE = 1;
/** The step has written `x.response` and `x.replyBody`: answer with them. */
export const REPLY = 2;
/** Cut the connection without an answer. */
export const RESET = 3;
export type Verdict = typeof CONTINUE | typeof PAUSE | typeof REPLY | typeof RESET;

/** `kind/namespace/name@generation` of the resource that a compiled thing came from. */
export type Origin = string;

/** One compiled policy action; every step has this one shape. Made only by `step` in step.ts. */
export interface Step {
  readonly name: string;
  readonly origin: Origin;
  readonly run: (x: Exchange, arg: unknown) => Verdict;
  /** Frozen at config time. */
  readonly arg: unknown;
}

export const EMPTY: readonly Step[] = Object.freeze([]);

/** The phases of one policy; a phase that is absent is not used. */
export interface PlanPart {
  /** It is authorization: what it does not permit (Exchange.isPermitted) is not permitted at all. */
  readonly permits?: boolean;
  /** One of its steps may have the route chosen again (Exchange.movesRoute). */
  readonly movesRoute?: boolean;
  /** Routes only: chooses the cluster, before the filters that may ask which it is. */
  readonly onChoose?: readonly Step[];
  readonly onRequest?: readonly Step[];
  readonly onAttempt?: readonly Step[];
  readonly onResponse?: readonly Step[];
  readonly onEnd?: readonly Step[];
}

/** What must happen to bodies; null in a Plan: bytes pass untouched. Body policies come later. */
export interface BodyPlan {
  readonly bufferBytesMax: number;
}

/** A copy of the request to another cluster, fire and forget. */
export interface Mirror {
  readonly cluster: ClusterRef;
  /** Chance in [0, 1] that a request is copied. */
  readonly fraction: number;
  /** True: the copy's Host gets `-shadow` appended, as Envoy does unless told otherwise. */
  readonly appendsShadowSuffix: boolean;
  /** The copy's Host; empty leaves it. */
  readonly host: string;
}

export const NO_MIRRORS: readonly Mirror[] = Object.freeze([]);

/** What a manager or a route says of one protocol that a client may change to. */
export interface UpgradeRule {
  readonly isAllowed: boolean;
  /** CONNECT only: the tunnel ends here, and its bytes go to the endpoint as plain TCP (connect_config). */
  readonly isTerminated: boolean;
}

/** By protocol in lower case; `connect` stands for the method CONNECT. Source: Envoy upgrade_configs. */
export type UpgradeRules = ReadonlyMap<string, UpgradeRule>;

/** By namespace, as configured. */
export type FilterMetadata = Readonly<Record<string, JsonObject>>;

/** What formats may say of where a request was routed (`%METADATA(ROUTE:…)%`). */
export interface PlanMetadata {
  readonly route: FilterMetadata;
  readonly virtualHost: FilterMetadata;
}

export interface Plan {
  readonly route: RouteId;
  readonly origin: Origin;
  /** Absent when neither the route nor its virtual host has any. */
  readonly metadata?: PlanMetadata;
  /** The route's own rules, which win over the manager's; absent when it has none. */
  readonly upgrades?: UpgradeRules;
  readonly body: BodyPlan | null;
  /** What is run for a request that was on another route before; absent where none can have been. */
  readonly onMoved?: readonly Step[];
  readonly onRequest: readonly Step[];
  readonly onAttempt: readonly Step[];
  readonly onResponse: readonly Step[];
  readonly onEnd: readonly Step[];
  readonly mirrors: readonly Mirror[];
}

export interface CompileEnv {
  /** Compilers report here and go on; an error refuses the resource. */
  readonly problems: Problem[];
  /** The shared reference of this name; made on first use, live or not. */
  readonly clusterRef: (name: string) => ClusterRef;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A numeric runtime value by key, or the default given (Envoy RuntimeFractionalPercent and the like). */
  readonly runtimeNumber: (key: string, fallback: number) => number;
}

/** A compiler adds its Problems to `env.problems` and returns null when the thing is refused. */
export type Compile<Config> = (config: Config, env: CompileEnv, path: string) => PlanPart | null;

/** What is left to say of a Plan beside its parts. */
export interface PlanInit {
  readonly route: RouteId;
  readonly origin: Origin;
  readonly metadata?: PlanMetadata;
  readonly upgrades?: UpgradeRules;
  readonly body: BodyPlan | null;
  readonly onMoved?: readonly Step[];
  readonly mirrors: readonly Mirror[];
}

/** Merges parts, outermost first, into one frozen Plan. */
export function merge(init: PlanInit, parts: readonly PlanPart[]): Plan {
  const inwards = (phase: 'onRequest' | 'onAttempt'): readonly Step[] =>
    flatten(
      parts.map((part) => [...(phase === 'onRequest' ? (part.onChoose ?? EMPTY) : EMPTY), ...(part[phase] ?? EMPTY)]),
    );
  const outwards = (phase: 'onResponse' | 'onEnd'): readonly Step[] =>
    flatten(parts.toReversed().map((part) => part[phase] ?? EMPTY));
  return Object.freeze({
    ...init,
    onRequest: inwards('onRequest'),
    onAttempt: inwards('onAttempt'),
    onResponse: outwards('onResponse'),
    onEnd: outwards('onEnd'),
  });
}

function flatten(lists: readonly (readonly Step[])[]): readonly Step[] {
  const steps = lists.flat();
  return steps.length === 0 ? EMPTY : Object.freeze(steps);
}
