// The filters of an HTTPRoute rule or backend. A filter that cannot be done refuses the route: the
// Gateway API forbids to skip one.
import { readGatewayCors } from './cors-policy.ts';
import type { CorsPolicy } from './cors-policy.ts';
import type { Fields } from './fields.ts';
import { checkHeaderText } from './header-text.ts';
import type { RouteMatch } from './http-route.ts';

export interface BackendRef {
  readonly group: string;
  readonly kind: string;
  /** Empty: the route's own. */
  readonly namespace: string;
  readonly name: string;
  /** 0 when not given. */
  readonly port: number;
}

export type PathModifier =
  | { readonly kind: 'full'; readonly path: string }
  | { readonly kind: 'prefix'; readonly path: string };

export interface RouteHeaderEdits {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export type RouteFilter =
  | { readonly kind: 'request-headers' | 'response-headers'; readonly edits: RouteHeaderEdits }
  | {
      readonly kind: 'redirect';
      readonly scheme: string;
      readonly hostname: string;
      readonly path: PathModifier | null;
      readonly port: number;
      readonly status: number;
    }
  | { readonly kind: 'rewrite'; readonly hostname: string; readonly path: PathModifier | null }
  | { readonly kind: 'cors'; readonly policy: CorsPolicy }
  | { readonly kind: 'mirror'; readonly backend: BackendRef; readonly percent: number };

const TYPES = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestRedirect',
  'URLRewrite',
  'RequestMirror',
  'CORS',
  'ExternalAuth',
  'ExtensionRef',
] as const;

const BODY_OF: Readonly<Record<string, string>> = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  RequestMirror: 'requestMirror',
  CORS: 'cors',
};

const NOTHING: RouteFilter = { kind: 'request-headers', edits: { set: [], add: [], remove: [] } };

export function readFilter(fields: Fields, matches: readonly RouteMatch[]): RouteFilter {
  const type = fields.choice('type', TYPES);
  if (type === null) {
    if (!fields.has('type')) fields.error('type', 'type is missing', `add type: one of ${TYPES.join(', ')}`);
    fields.ignore(...fields.names());
    return NOTHING;
  }
  const body = BODY_OF[type];
  if (body === undefined) {
    fields.error('type', `the filter ${type} is not supported yet`, 'remove it');
    fields.ignore(...fields.names());
    return NOTHING;
  }
  const filter = fields.object(body, (part) => readBody(type, part, matches));
  if (filter === null && !fields.has(body)) fields.error(body, `${body} is missing`, `add ${body}: {}`);
  for (const [other, name] of Object.entries(BODY_OF)) {
    if (other !== type && fields.has(name))
      fields.error(name, `${name} does not belong to a filter of type ${type}`, 'remove it');
  }
  return filter ?? NOTHING;
}

function readBody(type: string, fields: Fields, matches: readonly RouteMatch[]): RouteFilter {
  switch (type) {
    case 'RequestHeaderModifier':
      return { kind: 'request-headers', edits: readEdits(fields) };
    case 'ResponseHeaderModifier':
      return { kind: 'response-headers', edits: readEdits(fields) };
    case 'RequestRedirect':
      return readRedirect(fields, matches);
    case 'CORS':
      return { kind: 'cors', policy: readGatewayCors(fields) };
    case 'URLRewrite':
      return {
        kind: 'rewrite',
        hostname: readHostname(fields),
        path: fields.object('path', (path) => readModifier(path, matches)),
      };
    default:
      return readMirror(fields);
  }
}

function readEdits(fields: Fields): RouteHeaderEdits {
  const set = fields.list('set', readEdit);
  const add = fields.list('add', readEdit);
  const remove = fields.texts('remove');
  const seen = new Set<string>();
  for (const name of [...set.map(([name]) => name), ...add.map(([name]) => name), ...remove]) {
    if (seen.has(name.toLowerCase())) fields.error('', `the header ${name} is edited twice`, 'one action per header');
    if (!/^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]{1,256}$/.test(name))
      fields.error('', `"${name}" is not a header name`, 'correct the name');
    seen.add(name.toLowerCase());
  }
  return { set, add, remove };
}

function readHostname(fields: Fields): string {
  const hostname = fields.text('hostname');
  if (hostname !== '' && !/^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(hostname))
    fields.error('hostname', `"${hostname}" is not a precise host name`, 'write a lower-case name without wildcards');
  return hostname;
}

function readRedirect(fields: Fields, matches: readonly RouteMatch[]): RouteFilter {
  const status = fields.integer('statusCode') ?? 302;
  if (![301, 302, 303, 307, 308].includes(status))
    fields.error('statusCode', `${status} is not a redirect`, 'write 301, 302, 303, 307 or 308');
  return {
    kind: 'redirect',
    scheme: fields.choice('scheme', ['http', 'https']) ?? '',
    hostname: readHostname(fields),
    path: fields.object('path', (path) => readModifier(path, matches)),
    port: fields.port('port') ?? 0,
    status,
  };
}

function readModifier(fields: Fields, matches: readonly RouteMatch[]): PathModifier {
  const type = fields.choice('type', ['ReplaceFullPath', 'ReplacePrefixMatch']);
  if (type === null && !fields.has('type'))
    fields.error('type', 'type is missing', 'add type: ReplaceFullPath or ReplacePrefixMatch');
  fields.exclusive('replaceFullPath', 'replacePrefixMatch');
  const name = type === 'ReplacePrefixMatch' ? 'replacePrefixMatch' : 'replaceFullPath';
  if (type !== null && !fields.has(name)) fields.error(name, `${name} is missing`, `add ${name}: /path`);
  const path = fields.text(name);
  if (type !== 'ReplacePrefixMatch') return { kind: 'full', path };
  if (matches.some((match) => match.path.kind !== 'prefix'))
    fields.error(
      'type',
      'ReplacePrefixMatch goes only with PathPrefix matches',
      'use ReplaceFullPath, or match with PathPrefix',
    );
  return { kind: 'prefix', path };
}

function readMirror(fields: Fields): RouteFilter {
  fields.exclusive('percent', 'fraction');
  const backend = fields.object('backendRef', readBackendRef);
  if (backend === null)
    fields.error('backendRef', 'backendRef is missing', 'add backendRef: { name: reviews, port: 9080 }');
  const fraction = fields.object('fraction', (fraction) => {
    const numerator = fraction.integer('numerator', { min: 0 }) ?? 0;
    const denominator = fraction.integer('denominator', { min: 1 }) ?? 100;
    if (numerator > denominator)
      fraction.error('numerator', 'numerator is above denominator', 'write at most the denominator');
    return (numerator * 100) / denominator;
  });
  const percent = fields.integer('percent', { min: 0, max: 100 });
  return {
    kind: 'mirror',
    backend: backend ?? { group: '', kind: 'Service', namespace: '', name: '', port: 0 },
    percent: fraction ?? percent ?? 100,
  };
}

export function readBackendRef(fields: Fields): BackendRef {
  return {
    group: fields.text('group'),
    kind: fields.text('kind') === '' ? 'Service' : fields.text('kind'),
    namespace: fields.text('namespace'),
    name: fields.requiredText('name'),
    port: fields.port('port') ?? 0,
  };
}

function readEdit(fields: Fields): readonly [string, string] {
  checkHeaderText(fields, 'value');
  return [fields.requiredText('name'), fields.requiredText('value')];
}
