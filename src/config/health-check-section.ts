// The section `healthCheck` of a ResiliencePolicy: every sidecar that calls the service asks its instances now and
// then, and sends requests only to those that answer. Neither Istio nor the Gateway API can say it (istio#10537).
import type { Fields } from './fields.ts';

export interface HttpCheck {
  readonly kind: 'http';
  /** Of the instance; null is the port that requests go to. */
  readonly port: number | null;
  readonly path: string;
  /** Empty is GET. */
  readonly method: CheckMethod | '';
  /** The Host header; empty is the service's own name. */
  readonly host: string;
  readonly headers: ReadonlyMap<string, string>;
  /** Both ends included; empty is 200 to 299. */
  readonly expected: readonly StatusSpan[];
}

/** A connection is enough; with `receive` the answer to `send` must hold it. */
export interface TcpCheck {
  readonly kind: 'tcp';
  /** Of the instance; null is the port that requests go to. */
  readonly port: number | null;
  readonly send: string;
  readonly receive: string;
}

export interface StatusSpan {
  readonly from: number;
  readonly to: number;
}

export interface HealthCheckSection {
  readonly kind: 'healthCheck';
  readonly check: HttpCheck | TcpCheck;
  /** Null is 3 s. */
  readonly intervalMs: number | null;
  /** While the sidecar has sent no request to the service; null is the interval. */
  readonly idleIntervalMs: number | null;
  /** Null is 1 s. */
  readonly timeoutMs: number | null;
  /** Checks in a row that must fail; null is 3. */
  readonly unhealthyThreshold: number | null;
  /** Checks in a row that must pass; null is 1. */
  readonly healthyThreshold: number | null;
  /** Each wait is longer by anything up to this; null is a fifth of the wait. */
  readonly jitterMs: number | null;
}

/** In place of a check that is refused. */
const NO_CHECK: TcpCheck = { kind: 'tcp', port: null, send: '', receive: '' };

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'] as const;
export type CheckMethod = (typeof METHODS)[number];

const STATUS = { min: 100, max: 599 };
const COUNT = { min: 1, max: 1000 };
/** What a path of a request may be. */
export const CHECK_PATH = /^\/[\x21-\x7e]*$/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;

export function readHealthCheckSection(fields: Fields): HealthCheckSection {
  const http = fields.object('http', readHttp);
  const tcp = fields.object('tcp', readTcp);
  if (fields.has('http') === fields.has('tcp')) {
    const message = fields.has('http') ? 'has both http and tcp' : 'does not say what to check';
    fields.error('', message, 'write http: { path: /healthz }, or tcp: {}');
  }
  const times = (name: string): number | null => {
    const written = fields.durationMs(name);
    if (written === null || written >= 1) return written;
    fields.error(name, 'is shorter than 1ms', 'write a time such as 3s');
    return null;
  };
  return {
    kind: 'healthCheck',
    check: http ?? tcp ?? NO_CHECK,
    intervalMs: times('interval'),
    idleIntervalMs: times('idleInterval'),
    timeoutMs: times('timeout'),
    unhealthyThreshold: fields.integer('unhealthyThreshold', COUNT),
    healthyThreshold: fields.integer('healthyThreshold', COUNT),
    jitterMs: fields.durationMs('jitter'),
  };
}

function readHttp(fields: Fields): HttpCheck {
  fields.refuseUnknown();
  const path = fields.requiredText('path', 'add path: /healthz');
  if (path !== '' && !CHECK_PATH.test(path)) {
    fields.error('path', `"${path}" is no path of a request`, 'begin with / and encode spaces as %20');
  }
  const host = fields.text('host');
  if (!HEADER_VALUE.test(host)) fields.error('host', 'cannot stand in a header', 'write a name such as shop.example');
  const headers = fields.textMap('headers');
  for (const [name, value] of headers) {
    if (!HEADER_NAME.test(name) || name.toLowerCase() === 'host') {
      fields.error('headers', `"${name}" is no header to add`, 'correct the name; write host for the Host header');
    } else if (!HEADER_VALUE.test(value)) {
      fields.error('headers', `the value of ${name} cannot stand in a header`, 'leave control characters out');
    }
  }
  const single = fields.integers('expectedStatuses', STATUS).map((status) => ({ from: status, to: status }));
  const spans = fields.list('expectedStatusRanges', readSpan);
  return {
    kind: 'http',
    port: fields.port('port'),
    path,
    method: fields.choice('method', METHODS) ?? '',
    host,
    headers,
    expected: [...single, ...spans],
  };
}

function readSpan(fields: Fields): StatusSpan {
  fields.refuseUnknown();
  const from = fields.integer('from', STATUS);
  const to = fields.integer('to', STATUS);
  if (from === null || to === null || from > to)
    fields.error('', 'is no range of statuses', 'write from: 200, to: 299');
  return { from: from ?? STATUS.min, to: to ?? STATUS.min };
}

function readTcp(fields: Fields): TcpCheck {
  fields.refuseUnknown();
  return { kind: 'tcp', port: fields.port('port'), send: fields.text('send'), receive: fields.text('receive') };
}
