// Compiles a filter `outrigger.extension/NAME`: a Struct, or a TypedStruct with that value, of
//   { module, digest, config, failurePolicy: FailClosed | FailOpen, timeBudgetMs }
// The module is loaded, checked and asked for its steps; whatever is wrong refuses the listener, so that the last good
// one stays. It has no settings by route.
import { toJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import { error, refuses, type Problem } from '../base/problem.ts';
import { internHeader } from '../http/header-name.ts';
import type { Exchange } from '../plan/exchange.ts';
import type { ExtensionEnv, ExtensionModule, ExtensionSteps } from '../plan/extension.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import { compileSchema } from '../plan/json-schema.ts';
import type { PlanPart, Step, Verdict } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import { TypedStructSchema } from '../xds/gen/xds/type/v3/typed_struct_pb.js';
import { unpack } from '../xds/unpack.ts';
import { withinTime } from './compile-time.ts';
import { EXTENSION_STATS, ExtensionFence, type ExtensionPhase, type FailurePolicy } from './extension-fence.ts';
import type { ExtensionStore } from './extension-store.ts';
import { ExchangeView } from './extension-view.ts';

/** Filters of this name are extensions. */
export const EXTENSION_PREFIX = 'outrigger.extension/';

const FIELDS = ['module', 'digest', 'config', 'failurePolicy', 'timeBudgetMs'];
const POLICIES: readonly FailurePolicy[] = ['FailClosed', 'FailOpen'];
/** Runtime key, as of the managers (compile-manager.ts). */
const EXPLAINS_ERRORS = 'outrigger.explains_errors';
const BUDGET_MS = 10;
const BUDGET_MS_MAX = 1000;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

interface Settings {
  readonly module: ExtensionModule;
  readonly config: JsonObject;
  readonly failurePolicy: FailurePolicy;
  readonly budgetMs: number;
  /** Empty for those that are a part of the sidecar. */
  readonly digest: string;
}

/** Null after reporting why the filter is refused. */
export function compileExtension(config: Any, scope: FilterScope, store: ExtensionStore): HttpFilter | null {
  const problems: Problem[] = [];
  const settings = readSettings(config, scope, store, problems);
  const steps = settings === null || refuses(problems) ? null : askForSteps(settings, scope, problems);
  scope.env.problems.push(...problems);
  if (settings === null || steps === null || refuses(problems)) return null;
  const { name, bit } = scope;
  const { failurePolicy, budgetMs } = settings;
  const fence = new ExtensionFence({
    name,
    watch: settings.digest === '' ? null : store.watch,
    module: `${settings.module.name}@${settings.digest}`,
    steps,
    view: new ExchangeView(name, bit),
    failurePolicy,
    budgetMs,
    tally: scope.tally('extension', EXTENSION_STATS, {
      label: 'outrigger_extension',
      value: name.slice(EXTENSION_PREFIX.length),
    }),
    log: store.log,
    explainsErrors: scope.env.runtimeNumber(EXPLAINS_ERRORS, 1) !== 0,
  });
  return { part: partOf(fence, steps, name), withSettings: () => null };
}

function readSettings(any: Any, scope: FilterScope, store: ExtensionStore, problems: Problem[]): Settings | null {
  const { path } = scope;
  const struct = unpack(any, StructSchema);
  const typed = struct === null ? unpack(any, TypedStructSchema)?.value : toJson(StructSchema, struct);
  const fields = objectOf(typed);
  if (fields === null) {
    problems.push(error(path, 'is no Struct', 'write "@type": type.googleapis.com/google.protobuf.Struct'));
    return null;
  }
  for (const name of Object.keys(fields))
    if (!FIELDS.includes(name)) problems.push(error(`${path}.${name}`, 'is not known', `write ${FIELDS.join(', ')}`));
  const failurePolicy = POLICIES.find((known) => known === (fields['failurePolicy'] ?? 'FailClosed'));
  if (failurePolicy === undefined)
    problems.push(error(`${path}.failurePolicy`, 'is none', `write ${POLICIES.join(' or ')}`));
  const budgetMs = fields['timeBudgetMs'] ?? BUDGET_MS;
  if (typeof budgetMs !== 'number' || !(budgetMs > 0 && budgetMs <= BUDGET_MS_MAX))
    problems.push(error(`${path}.timeBudgetMs`, 'is no budget', `write milliseconds, at most ${BUDGET_MS_MAX}`));
  const given = objectOf(fields['config'] ?? {});
  if (given === null) problems.push(error(`${path}.config`, 'is no object', 'write what the extension wants'));
  const wanted = { module: textOf(fields['module']), digest: textOf(fields['digest']) };
  const module = store.load(wanted, problems, path);
  if (module === null || given === null || failurePolicy === undefined || typeof budgetMs !== 'number') return null;
  checkConfig(module, given, problems, path);
  return { module, config: given, failurePolicy, budgetMs, digest: wanted.digest };
}

function checkConfig({ configSchema }: ExtensionModule, config: JsonObject, problems: Problem[], path: string): void {
  if (configSchema === undefined) {
    if (Object.keys(config).length > 0)
      problems.push(error(`${path}.config`, 'the extension takes no configuration', 'remove it'));
    return;
  }
  const check = compileSchema(configSchema, problems, `${path}.module.configSchema`);
  check?.(config, `${path}.config`, problems);
}

/** Compiles it; what the module throws refuses the configuration. */
function askForSteps({ module, config }: Settings, scope: FilterScope, problems: Problem[]): ExtensionSteps | null {
  const { name, path, isInbound, env } = scope;
  let isCompiled = false;
  const offered: ExtensionEnv = {
    name,
    isInbound,
    random: env.random,
    header(text) {
      // A head that was parsed before a name was known would not show it.
      if (isCompiled) throw new TypeError('names of fields are made while the extension is compiled');
      if (!TOKEN.test(text)) throw new TypeError(`${JSON.stringify(text)} is not the name of a field`);
      return internHeader(text);
    },
    problem(inner, message, remedy = '') {
      const at = inner === '' ? `${path}.config` : `${path}.config.${inner}`;
      problems.push(error(at, message, remedy));
    },
  };
  try {
    const steps: unknown = withinTime(() => module.compile(config, offered));
    isCompiled = true;
    if (isSteps(steps)) return steps;
    if (!refuses(problems))
      problems.push(error(`${path}.module`, 'compile returned no steps', 'return an object of functions'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'no Error';
    problems.push(error(`${path}.config`, `the extension threw: ${reason.slice(0, 300)}`));
  }
  return null;
}

/** A phase that the extension has not is no step. */
function partOf(fence: ExtensionFence, steps: ExtensionSteps, name: string): PlanPart {
  const later = (phase: ExtensionPhase): readonly Step[] =>
    steps[phase] === undefined ? [] : [step('extension', name, runLater, { fence, phase })];
  // A cut-off or failed extension is answered for in the request phase, whatever phases it has.
  return {
    onRequest: [step('extension', name, runRequest, { fence })],
    onAttempt: later('onAttempt'),
    onResponse: later('onResponse'),
    onEnd: later('onEnd'),
  };
}

function runRequest(x: Exchange, { fence }: { readonly fence: ExtensionFence }): Verdict {
  return fence.onRequest(x);
}

function runLater(
  x: Exchange,
  { fence, phase }: { readonly fence: ExtensionFence; readonly phase: ExtensionPhase },
): Verdict {
  return fence.onLater(x, phase);
}

function isSteps(value: unknown): value is ExtensionSteps {
  if (typeof value !== 'object' || value === null || 'then' in value) return false;
  const phases = ['onRequest', 'onAttempt', 'onResponse', 'onEnd'];
  const entries = Object.entries(value);
  return entries.every(([name, each]) => phases.includes(name) && (typeof each === 'function' || each === undefined));
}

function objectOf(value: JsonValue | undefined): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
