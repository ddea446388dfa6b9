// Compiles `outrigger.shedding`, a filter of ours whose configuration is a google.protobuf.Struct:
//   { header, classes: [{ name, share }], default, requests } with `adaptive: true` in the place of `requests`
// Classes are in the order of their importance. It has no settings by route.
import type { JsonValue } from '@bufbuild/protobuf';
import { StructSchema, type Any } from '@bufbuild/protobuf/wkt';
import { toJson } from '@bufbuild/protobuf';
import { error } from '../base/problem.ts';
import { internHeader } from '../http/header-name.ts';
import type { FilterScope, HttpFilter } from '../plan/http-filter.ts';
import { step } from '../plan/step.ts';
import { unpack } from '../xds/unpack.ts';
import { GradientController, type GradientSettings } from './gradient-controller.ts';
import { SHEDDING_STATS, endShedding, runShedding, type RequestClass, type SheddingSettings } from './shedding.ts';

const CLASSES_MAX = 16;
const HEADER = 'x-request-class';

/** What Envoy would be told: the idle app is looked at every minute. */
const ADAPTIVE: GradientSettings = {
  percentile: 0.5,
  limitMax: 1000,
  limitMin: 3,
  updateMs: 100,
  learnMs: 60_000,
  fixedMinimumMs: 0,
  learnRequests: 50,
  jitter: 0.15,
  buffer: 0.25,
};

type Fields = Readonly<Record<string, JsonValue>>;

/** As a CompileHttpFilter. */
export function compileShedding(config: Any, scope: FilterScope): HttpFilter | null {
  const { env, path, name, clock, bit } = scope;
  const struct = unpack(config, StructSchema);
  const fields = struct === null ? null : objectOf(toJson(StructSchema, struct));
  if (fields === null) {
    env.problems.push(error(path, 'is no Struct', 'write "@type": type.googleapis.com/google.protobuf.Struct'));
    return null;
  }
  const before = env.problems.length;
  const classes = compileClasses(fields['classes'], scope);
  const isAdaptive = fields['adaptive'] === true;
  const requests = fields['requests'];
  const isNumber = typeof requests === 'number' && requests >= 1;
  if (isAdaptive === (requests !== undefined) || (!isAdaptive && !isNumber)) {
    env.problems.push(error(`${path}.requests`, 'there is no limit', 'write requests: 100, or adaptive: true'));
  }
  const wanted = textOf(fields['default']);
  const otherwise = wanted === '' ? classes.at(-1) : classes.find((one) => one.name === wanted);
  if (otherwise === undefined && classes.length > 0) {
    env.problems.push(error(`${path}.default`, `"${wanted}" is not one of the classes`, 'name one of them'));
  }
  if (otherwise === undefined || env.problems.slice(before).some(({ severity }) => severity === 'error')) return null;
  const settings: SheddingSettings = {
    header: internHeader(textOf(fields['header']).toLowerCase() || HEADER),
    classes: new Map(classes.map((one) => [one.name, one])),
    otherwise,
    budget: scope.limits.budget(`shedding ${scope.statPrefix}`),
    requestsMax: isNumber ? Math.floor(requests) : Infinity,
    controller: isAdaptive ? new GradientController(ADAPTIVE, clock, env.random) : null,
    bit,
  };
  return {
    part: {
      onRequest: [step('shedding', name, runShedding, settings)],
      onEnd: [step('shedding', name, endShedding, settings)],
    },
    withSettings: () => null,
  };
}

function compileClasses(given: JsonValue | undefined, scope: FilterScope): readonly RequestClass[] {
  const { env, path } = scope;
  const list = Array.isArray(given) ? given : [];
  if (list.length === 0 || list.length > CLASSES_MAX) {
    const remedy = `list 1 to ${CLASSES_MAX}, the most important one first`;
    env.problems.push(error(`${path}.classes`, 'has no classes, or too many', remedy));
    return [];
  }
  const classes: RequestClass[] = [];
  for (const [index, entry] of list.entries()) {
    const fields = objectOf(entry);
    const name = textOf(fields?.['name']);
    const share = fields?.['share'] ?? 1;
    const at = `${path}.classes[${index}]`;
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(name) || classes.some((one) => one.name === name)) {
      env.problems.push(
        error(`${at}.name`, `"${name}" is no name of a class`, 'use letters and digits, each name once'),
      );
    }
    if (typeof share !== 'number' || !(share > 0 && share <= 1)) {
      env.problems.push(error(`${at}.share`, 'is no share', 'write a number above 0, at most 1'));
      continue;
    }
    const tally = scope.tally('shedding', SHEDDING_STATS, { label: 'outrigger_request_class', value: name });
    classes.push({ name, share, details: `shed_${name}`, tally });
  }
  return classes;
}

function objectOf(value: JsonValue | undefined): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
