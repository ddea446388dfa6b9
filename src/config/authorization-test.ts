// One test of an AuthorizationPolicy: an attribute of a request or connection, the values that it may have, and those
// that it must not have. Fields of `source` and `operation` and the keys of `when` all come to these. Values are checked as
// Istio's admission checks them; what is wrong is an error, because a test that were left out would widen its rule.
// Source: istio/security/v1beta1/authorization_policy.proto and istio.io "Authorization Policy Conditions".
import { readRange } from './address-range.ts';
import { refuseEmptyFields } from './empty-field.ts';
import type { Fields } from './fields.ts';

export type AttributeKind =
  | 'principal'
  | 'requestPrincipal'
  | 'namespace'
  | 'serviceAccount'
  | 'trustDomain'
  | 'sourceIp'
  | 'remoteIp'
  | 'host'
  | 'port'
  | 'method'
  | 'path'
  | 'header'
  | 'audience'
  | 'presenter'
  | 'claim'
  | 'destinationIp'
  | 'sni'
  | 'metadata';

export interface AuthorizationTest {
  readonly kind: AttributeKind;
  /** The header in lower case; the claim's path; the filter and its key. Empty for every other kind. */
  readonly names: readonly string[];
  /** Any of them; empty: any value at all. */
  readonly values: readonly string[];
  /** None of them. */
  readonly notValues: readonly string[];
}

/** Attributes that only requests have. */
export const HTTP_ONLY: ReadonlySet<AttributeKind> = new Set([
  'requestPrincipal',
  'host',
  'method',
  'path',
  'header',
  'audience',
  'presenter',
  'claim',
]);

export const VALUE_LENGTH_MAX = 1024;
export const VALUES_MAX = 1024;
export const ACCOUNTS_MAX = 16;
export const ACCOUNT_LENGTH_MAX = 320;
const ONE = '{*}';
const REST = '{**}';

/** Reads `name` and its negation `notName`; null when neither is there. Empty lists and texts are errors. */
export function readTest(fields: Fields, name: string, kind: AttributeKind): AuthorizationTest | null {
  const negation = `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  const values = readValues(fields, name, kind);
  const notValues = readValues(fields, negation, kind);
  return values.length + notValues.length === 0 ? null : { kind, names: [], values, notValues };
}

/** The values of one field, checked. */
export function readValues(fields: Fields, name: string, kind: AttributeKind): readonly string[] {
  if (!fields.has(name)) return [];
  const values = fields.texts(name);
  if (values.length === 0) fields.error(name, 'must not be an empty list', 'remove it, or write values');
  if (values.length > VALUES_MAX) fields.error(name, `has ${values.length} values`, `write at most ${VALUES_MAX}`);
  if (kind === 'serviceAccount' && values.length > ACCOUNTS_MAX)
    fields.error(name, `has ${values.length} values`, `write at most ${ACCOUNTS_MAX}`);
  for (const value of values) {
    const fault = value === '' ? 'a value is empty' : faultOf(value, kind);
    if (fault !== null) fields.error(name, fault, remedyOf(kind));
    else warnIfIdle(fields, name, kind, value);
  }
  return values;
}

function faultOf(value: string, kind: AttributeKind): string | null {
  if (value.length > VALUE_LENGTH_MAX)
    return `a value has ${value.length} characters, the limit is ${VALUE_LENGTH_MAX}`;
  switch (kind) {
    case 'sourceIp':
    case 'remoteIp':
    case 'destinationIp':
      return readRange(value) === null ? `${JSON.stringify(value)} is neither an address nor a range` : null;
    case 'port':
      return /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? null : `${JSON.stringify(value)} is not a port`;
    case 'path':
      return templateFault(value);
    case 'serviceAccount':
      return accountFault(value);
    default:
      return null;
  }
}

/** What is right and matches nothing is said: in a DENY it keeps nobody out. */
function warnIfIdle(fields: Fields, name: string, kind: AttributeKind, value: string): void {
  const inner = value.startsWith('*') ? value.slice(1) : value.endsWith('*') ? value.slice(0, -1) : value;
  if (WITH_STARS.has(kind) && inner.includes('*') && !inner.includes('{*')) {
    const remedy = 'write one * at the beginning or at the end';
    fields.warning(name, `${JSON.stringify(value)} has a * that stands for itself`, remedy);
  }
  const idle = IDLE.find((known) => known.kind === kind && known.pattern.test(value));
  if (idle !== undefined) fields.warning(name, `${JSON.stringify(value)} matches nothing: ${idle.why}`, idle.remedy);
}

/** Whose values may begin or end with `*`. */
const WITH_STARS: ReadonlySet<AttributeKind> = new Set(['path', 'host', 'principal', 'requestPrincipal', 'namespace']);

const IDLE: readonly {
  readonly kind: AttributeKind;
  readonly pattern: RegExp;
  readonly why: string;
  readonly remedy: string;
}[] = [
  { kind: 'method', pattern: /^[a-z]+$/, why: 'methods are compared as they are', remedy: 'write it in upper case' },
  { kind: 'path', pattern: /[?#]/, why: 'paths are compared without their query', remedy: 'write the path alone' },
  { kind: 'path', pattern: /^[^/*]/, why: 'every path begins with /', remedy: 'write /PATH' },
  {
    kind: 'path',
    pattern: /\/\.{1,2}(?:\/|$)/,
    why: 'paths are normalized before',
    remedy: 'write it without . and ..',
  },
  { kind: 'host', pattern: /\//, why: 'hosts have no scheme and no path', remedy: 'write the host alone' },
  {
    kind: 'principal',
    pattern: /^\*?spiffe:/,
    why: 'they have no scheme',
    remedy: 'write TRUSTDOMAIN/ns/NS/sa/ACCOUNT',
  },
  { kind: 'namespace', pattern: /[A-Z\s/]/, why: 'no namespace is called so', remedy: 'write its name' },
];

function remedyOf(kind: AttributeKind): string {
  switch (kind) {
    case 'sourceIp':
    case 'remoteIp':
    case 'destinationIp':
      return 'write it like 10.1.0.0/16 or 10.1.2.3';
    case 'port':
      return 'write a number from 0 to 65535 in quotes';
    case 'path':
      return 'for example /orders/{*}/items or /files/{**}';
    case 'serviceAccount':
      return 'write ACCOUNT or NAMESPACE/ACCOUNT';
    default:
      return 'write a value';
  }
}

function accountFault(value: string): string | null {
  if (value.length > ACCOUNT_LENGTH_MAX) return `a value has ${value.length} characters`;
  if (value.includes('*')) return `${JSON.stringify(value)} has a wildcard`;
  const parts = value.split('/');
  return parts.length > 2 || parts.includes('') ? `${JSON.stringify(value)} is not a service account` : null;
}

export function isTemplate(path: string): boolean {
  return path.includes(ONE) || path.includes(REST);
}

/** Operators stand alone between slashes, `{**}` only as the last; other braces are refused wherever they stand. */
function templateFault(path: string): string | null {
  let hasRest = false;
  for (const segment of path.replaceAll(/^\/+|\/+$/g, '').split('/')) {
    if (segment === ONE || segment === REST) {
      if (hasRest) return `${JSON.stringify(path)} has an operator behind {**}`;
      hasRest = segment === REST;
      continue;
    }
    if (/[{}]/.test(segment)) return `${JSON.stringify(path)} has a brace beside {*} and {**}`;
    if (isTemplate(path) && segment.includes('*')) return `${JSON.stringify(path)} has * beside {*} and {**}`;
  }
  return isTemplate(path) && !path.startsWith('/') ? `${JSON.stringify(path)} does not begin with /` : null;
}

/** The keys of `when` that stand for themselves. */
const KEYS: ReadonlyMap<string, AttributeKind> = new Map([
  ['source.ip', 'sourceIp'],
  ['remote.ip', 'remoteIp'],
  ['source.namespace', 'namespace'],
  ['source.principal', 'principal'],
  ['source.serviceAccount', 'serviceAccount'],
  ['source.trustDomain', 'trustDomain'],
  ['request.auth.principal', 'requestPrincipal'],
  ['request.auth.audiences', 'audience'],
  ['request.auth.presenter', 'presenter'],
  ['destination.ip', 'destinationIp'],
  ['destination.port', 'port'],
  ['connection.sni', 'sni'],
]);
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** One entry of `when`; null after reporting what is wrong with it. */
export function readCondition(fields: Fields): AuthorizationTest | null {
  fields.refuseUnknown();
  refuseEmptyFields(fields, ['key', 'values', 'notValues']);
  const key = fields.requiredText('key');
  const found = key === '' ? null : keyOf(key);
  if (key !== '' && found === null) {
    const known = [...KEYS.keys(), 'request.headers[NAME]', 'request.auth.claims[NAME]'].join(', ');
    fields.error('key', `${JSON.stringify(key)} is not a key that is known`, `write one of ${known}`);
  }
  const kind = found?.kind ?? 'header';
  const values = readValues(fields, 'values', kind);
  const notValues = readValues(fields, 'notValues', kind);
  if (!fields.has('values') && !fields.has('notValues'))
    fields.error('values', 'neither values nor notValues are there', 'add values: ["…"]');
  return found === null ? null : { ...found, values, notValues };
}

function keyOf(key: string): Pick<AuthorizationTest, 'kind' | 'names'> | null {
  const plain = KEYS.get(key);
  if (plain !== undefined) return { kind: plain, names: [] };
  const [, header = ''] = /^request\.headers\[(.+)\]$/.exec(key) ?? [];
  if (HEADER_NAME.test(header)) return { kind: 'header', names: [header.toLowerCase()] };
  const [, claims = ''] = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/.exec(key) ?? [];
  if (claims !== '') return { kind: 'claim', names: claims.slice(1, -1).split('][') };
  const [, filter = '', name = ''] = /^experimental\.(envoy\.filters\.[^[\]]+)\[([^[\]]+)\]$/.exec(key) ?? [];
  return filter === '' ? null : { kind: 'metadata', names: [filter, name] };
}
