// The short form of `healthCheck`: annotations on a Service or ServiceEntry, for those who need no more than a path.
// They say the same as a ResiliencePolicy, which comes before them.
import { parseDuration } from './duration.ts';
import { CHECK_PATH, type HealthCheckSection } from './health-check-section.ts';
import { nearest } from './spelling.ts';

const PREFIX = 'outrigger.dev/health-check-';
const NAMES = ['path', 'protocol', 'port', 'interval', 'timeout', 'unhealthy-threshold', 'healthy-threshold'] as const;
type Name = (typeof NAMES)[number];

export interface AnnotatedCheck {
  /** Null when there is none, or none that can be understood. */
  readonly section: HealthCheckSection | null;
  readonly problems: readonly AnnotationProblem[];
}

export interface AnnotationProblem {
  readonly annotation: string;
  readonly message: string;
  readonly remedy: string;
}

const NONE: AnnotatedCheck = { section: null, problems: [] };

/** A check needs at least `outrigger.dev/health-check-path`, or `outrigger.dev/health-check-protocol: tcp`. */
export function readHealthAnnotations(annotations: ReadonlyMap<string, string>): AnnotatedCheck {
  const given = [...annotations.keys()].filter((name) => name.startsWith(PREFIX));
  if (given.length === 0) return NONE;
  const problems: AnnotationProblem[] = [];
  const refuse = (name: string, message: string, remedy: string): null => {
    problems.push({ annotation: `${PREFIX}${name}`, message, remedy });
    return null;
  };
  const value = (name: Name): string | null => annotations.get(`${PREFIX}${name}`) ?? null;
  for (const name of given.map((each) => each.slice(PREFIX.length))) {
    if (NAMES.some((known) => known === name)) continue;
    const guess = nearest(name, NAMES);
    refuse(
      name,
      'is no annotation of a health check',
      guess === null ? 'remove it' : `did you mean ${PREFIX}${guess}?`,
    );
  }
  const durationMs = (name: Name): number | null => {
    const text = value(name);
    const parsed = text === null ? null : parseDuration(text, 'go');
    if (text === null || (parsed !== null && parsed >= 1)) return parsed;
    return refuse(name, `"${text}" is no time`, 'write a number with a unit, for example 3s');
  };
  const integer = (name: Name, max: number): number | null => {
    const text = value(name);
    const parsed = text === null || !/^\d+$/.test(text) ? null : Number(text);
    if (text === null || (parsed !== null && parsed >= 1 && parsed <= max)) return parsed;
    return refuse(name, `"${text}" is out of range`, `write a whole number from 1 to ${max}`);
  };
  const check = checkOf({ path: value('path'), protocol: value('protocol'), port: integer('port', 65_535) }, refuse);
  if (check === null) return { section: null, problems };
  const section: HealthCheckSection = {
    kind: 'healthCheck',
    check,
    intervalMs: durationMs('interval'),
    idleIntervalMs: null,
    timeoutMs: durationMs('timeout'),
    unhealthyThreshold: integer('unhealthy-threshold', 1000),
    healthyThreshold: integer('healthy-threshold', 1000),
    jitterMs: null,
  };
  return { section, problems };
}

interface Written {
  readonly path: string | null;
  readonly protocol: string | null;
  readonly port: number | null;
}

function checkOf(
  { path, protocol, port }: Written,
  refuse: (name: Name, message: string, remedy: string) => null,
): HealthCheckSection['check'] | null {
  if (protocol !== null && protocol !== 'http' && protocol !== 'tcp') {
    return refuse('protocol', `"${protocol}" is not one of http, tcp`, 'write http or tcp');
  }
  if (path === null) {
    if (protocol === 'tcp') return { kind: 'tcp', port, send: '', receive: '' };
    return refuse('path', 'is missing: nothing is checked', `add ${PREFIX}path: /healthz, or ${PREFIX}protocol: tcp`);
  }
  if (protocol === 'tcp') return refuse('path', 'has no meaning for TCP', 'remove it, or write protocol http');
  if (!CHECK_PATH.test(path)) return refuse('path', `"${path}" is no path of a request`, 'begin with /');
  return { kind: 'http', port, path, method: '', host: '', headers: new Map(), expected: [] };
}
