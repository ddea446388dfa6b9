// VirtualService (networking.istio.io): typed as Istio's proto has it, in the order of its fields. TLS
// and TCP routes (virtual-service-tcp.ts) decide about captured connections only.
import { readCors } from './cors-policy.ts';
import type { CorsPolicy } from './cors-policy.ts';
import type { Fields } from './fields.ts';
import { checkHeaderLines, checkHeaderText } from './header-text.ts';
import { readRetries, readTimeout } from './http-retries.ts';
import type { Retries } from './http-retries.ts';
import { limits } from './limits.ts';
import { readFault } from './http-faults.ts';
import type { Fault } from './http-faults.ts';
import { checkSubstitution } from './regex.ts';
import { readDestination } from './virtual-service-destination.ts';
import type { Destination } from './virtual-service-destination.ts';
import { readMatch } from './virtual-service-match.ts';
import type { HttpMatch } from './virtual-service-match.ts';
import { readTcpRule, readTlsRule } from './virtual-service-tcp.ts';
import type { TcpRule } from './virtual-service-tcp.ts';

export interface HeaderEdits {
  readonly set: ReadonlyMap<string, string>;
  readonly add: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
}

export interface Headers {
  readonly request: HeaderEdits;
  readonly response: HeaderEdits;
}

export interface WeightedDestination {
  readonly destination: Destination;
  /** 0 when not given. */
  readonly weight: number;
  readonly headers: Headers;
}

export interface Redirect {
  readonly uri: string;
  readonly authority: string;
  readonly scheme: string;
  readonly port: number;
  readonly derivePort: 'FROM_PROTOCOL_DEFAULT' | 'FROM_REQUEST_PORT' | null;
  readonly code: number;
}

export interface Rewrite {
  readonly uri: string;
  readonly authority: string;
  readonly regex: { readonly match: string; readonly rewrite: string } | null;
}

export interface Mirror {
  readonly destination: Destination;
  /** 0 to 100. */
  readonly percent: number;
}

export interface DirectResponse {
  readonly status: number;
  readonly body: string;
  readonly isBase64: boolean;
}

export interface HttpRule {
  readonly name: string;
  /** Empty matches everything. */
  readonly matches: readonly HttpMatch[];
  readonly route: readonly WeightedDestination[];
  readonly redirect: Redirect | null;
  readonly directResponse: DirectResponse | null;
  readonly rewrite: Rewrite | null;
  /** Null when not given, which is no timeout. */
  readonly timeoutMs: number | null;
  /** Null when not given, which is the mesh's default policy. */
  readonly retries: Retries | null;
  readonly mirrors: readonly Mirror[];
  readonly headers: Headers;
  readonly fault: Fault | null;
  readonly cors: CorsPolicy | null;
}

export interface VirtualServiceSpec {
  readonly hosts: readonly string[];
  readonly gateways: readonly string[];
  readonly http: readonly HttpRule[];
  readonly tls: readonly TcpRule[];
  readonly tcp: readonly TcpRule[];
  readonly exportTo: readonly string[];
}

export function readVirtualServiceSpec(fields: Fields): VirtualServiceSpec {
  fields.refuseUnknown('gateways', 'exportTo');
  const hosts = fields.texts('hosts');
  if (hosts.length === 0)
    fields.error('hosts', 'the VirtualService names no host', 'add hosts: [reviews]; delegates are not supported yet');
  for (const host of hosts) {
    if (!/^(?:\*|(?:\*\.)?[A-Za-z0-9_](?:[-A-Za-z0-9_.]*[A-Za-z0-9_])?)$/.test(host))
      fields.error('hosts', `"${host}" is not a host`, 'write a host name, or a wildcard like *.example.com');
  }
  const [tls, tcp] = [
    fields.list('tls', readTlsRule, limits.rulesMax),
    fields.list('tcp', readTcpRule, limits.rulesMax),
  ];
  const http = fields.list('http', readRule, limits.rulesMax);
  if (http.length === 0 && !fields.has('tls') && !fields.has('tcp'))
    fields.error('http', 'the VirtualService has no rules', 'add http: with at least one rule');
  return {
    hosts,
    gateways: fields.texts('gateways'),
    http,
    tls,
    tcp,
    exportTo: fields.texts('exportTo'),
  };
}

function readRule(fields: Fields): HttpRule {
  fields.refuseUnknown('match');
  fields.exclusive('route', 'redirect', 'directResponse', 'delegate');
  if (!['route', 'redirect', 'directResponse', 'delegate'].some((name) => fields.has(name)))
    fields.error('', 'the rule does nothing', 'add route, redirect or directResponse');
  if (fields.has('delegate'))
    fields.error('delegate', 'delegate is not supported yet', "write the delegate's rules here");
  for (const name of ['rewrite', 'fault', 'timeout', 'retries', 'mirror'] as const) {
    if (fields.has('redirect') && fields.has(name))
      fields.error(name, `${name} cannot go with a redirect`, `remove ${name}`);
  }
  const route = fields.list('route', readWeighted, limits.destinationsMax);
  checkWeights(fields, route);
  if (fields.has('route') && route.length === 0)
    fields.error('route', 'the rule names no destination', 'add route: [{ destination: { host: reviews } }]');
  const single = fields.object('mirror', readDestination);
  fields.exclusive('mirror', 'mirrors');
  const percent =
    fields.object('mirrorPercentage', readPercent) ??
    fields.decimal('mirrorPercent', { min: 0, max: 100 }) ??
    fields.decimal('mirror_percent', { min: 0, max: 100 });
  const several = fields.list('mirrors', readMirror, limits.destinationsMax);
  return {
    name: fields.text('name'),
    matches: fields.list('match', readMatch, limits.matchesMax),
    route,
    redirect: fields.object('redirect', readRedirect),
    directResponse: fields.object('directResponse', readDirectResponse),
    rewrite: fields.object('rewrite', readRewrite),
    timeoutMs: readTimeout(fields, 'timeout'),
    retries: fields.object('retries', readRetries),
    mirrors: single === null ? several : [{ destination: single, percent: percent ?? 100 }],
    headers: readHeaders(fields),
    fault: fields.object('fault', readFault),
    cors: fields.object('corsPolicy', readCors),
  };
}

function checkWeights(fields: Fields, route: readonly WeightedDestination[]): void {
  const total = route.reduce((sum, entry) => sum + entry.weight, 0);
  if (route.length > 1 && total === 0)
    fields.error(
      'route',
      'the weights of the destinations add up to 0',
      'give each destination a weight, for example 90 and 10',
    );
  if (total > 4_294_967_295)
    fields.error('route', `the weights add up to ${total}, the limit is 4294967295`, 'use smaller weights');
}

function readWeighted(fields: Fields): WeightedDestination {
  const destination = fields.object('destination', readDestination);
  if (destination === null) fields.error('destination', 'destination is missing', 'add destination: { host: reviews }');
  return {
    destination: destination ?? { host: '', subset: '', port: 0 },
    // A weight that was refused counts as one, so that the sum is not refused as well.
    weight: fields.integer('weight', { min: 0, max: 4_294_967_295 }) ?? (fields.has('weight') ? 1 : 0),
    headers: readHeaders(fields),
  };
}

export function readPercent(fields: Fields): number {
  return fields.decimal('value', { min: 0, max: 100 }) ?? 0;
}

function readMirror(fields: Fields): Mirror {
  const destination = fields.object('destination', readDestination);
  if (destination === null) fields.error('destination', 'destination is missing', 'add destination: { host: reviews }');
  return {
    destination: destination ?? { host: '', subset: '', port: 0 },
    percent: fields.object('percentage', readPercent) ?? 100,
  };
}

function readHeaders(fields: Fields): Headers {
  const none: HeaderEdits = { set: new Map(), add: new Map(), remove: [] };
  const headers = fields.object('headers', (both) => ({
    request: both.object('request', readEdits),
    response: both.object('response', readEdits),
  }));
  return { request: headers?.request ?? none, response: headers?.response ?? none };
}

function readEdits(fields: Fields): HeaderEdits {
  const [set, add, remove] = [fields.textMap('set'), fields.textMap('add'), fields.texts('remove')];
  checkHeaderLines(fields, 'set', set);
  checkHeaderLines(fields, 'add', add);
  checkHeaderLines(
    fields,
    'remove',
    remove.map((name) => [name, '']),
  );
  return { set, add, remove };
}

function readRedirect(fields: Fields): Redirect {
  fields.exclusive('port', 'derivePort');
  fields.later('prefixRewrite');
  const code = fields.integer('redirectCode') ?? 301;
  if (![301, 302, 303, 307, 308].includes(code))
    fields.error('redirectCode', `${code} is not a redirect`, 'write 301, 302, 303, 307 or 308');
  return {
    uri: checkHeaderText(fields, 'uri'),
    authority: checkHeaderText(fields, 'authority'),
    scheme: fields.choice('scheme', ['http', 'https']) ?? '',
    port: fields.port('port') ?? 0,
    derivePort: fields.choice('derivePort', ['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT']),
    code,
  };
}

function readDirectResponse(fields: Fields): DirectResponse {
  const status = fields.integer('status', { min: 200, max: 599 });
  if (!fields.has('status')) fields.error('status', 'status is missing', 'add status: 503 or the like');
  const body = fields.object('body', (body) => {
    body.exclusive('string', 'bytes');
    return { text: body.text('string'), bytes: body.text('bytes') };
  });
  return {
    status: status ?? 200,
    body: body === null ? '' : body.text + body.bytes,
    isBase64: body !== null && body.bytes !== '',
  };
}

function readRewrite(fields: Fields): Rewrite {
  fields.exclusive('uri', 'uriRegexRewrite');
  const regex = fields.object('uriRegexRewrite', (part) => {
    const [match, rewrite] = [part.regex('match'), checkHeaderText(part, 'rewrite')];
    const fault = match === '' ? null : checkSubstitution(match, rewrite);
    if (fault !== null) part.error('rewrite', fault, 'write \\1 for the first group, and \\\\ for a backslash');
    return { match, rewrite };
  });
  return { uri: checkHeaderText(fields, 'uri'), authority: checkHeaderText(fields, 'authority'), regex };
}
