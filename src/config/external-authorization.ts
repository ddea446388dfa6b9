// Extension providers that are asked about each request (envoyExtAuthzHttp, envoyExtAuthzGrpc of MeshConfig), for
// AuthorizationPolicies of action CUSTOM. What is misspelled here would let requests through that should be asked
// about, or with more than was meant: unknown fields are errors.
// Source: istio/mesh/v1alpha1 ExtensionProvider.
import type { Fields } from './fields.ts';

export interface AuthorizationProvider {
  readonly kind: 'authorization';
  readonly name: string;
  readonly protocol: 'http' | 'grpc';
  /** A host, or NAMESPACE/HOST. */
  readonly service: string;
  readonly port: number;
  /** Null is Istio's 600 s. */
  readonly timeoutMs: number | null;
  /** Requests pass when the service cannot be asked. */
  readonly isFailOpen: boolean;
  /** Null is 403. */
  readonly statusOnError: number | null;
  readonly clearsRouteCache: boolean;
  /** Null: the service sees no body. */
  readonly body: AuthorizationBody | null;
  /** HTTP only, as all below. */
  readonly pathPrefix: string;
  /** Names may end or begin with `*`. */
  readonly requestHeaders: readonly string[];
  readonly additionalHeaders: ReadonlyMap<string, string>;
  readonly toUpstreamOnAllow: readonly string[];
  readonly toDownstreamOnAllow: readonly string[];
  readonly toDownstreamOnDeny: readonly string[];
}

export interface AuthorizationBody {
  readonly bytesMax: number;
  readonly allowsPartial: boolean;
  readonly packsAsBytes: boolean;
}

/** Istio's default where `includeRequestBodyInCheck` is empty. */
const BODY_BYTES = 1024;
const BODY_BYTES_MAX = 16 * 1024 * 1024;

export function readAuthorizationProvider(
  fields: Fields,
  name: string,
  protocol: 'http' | 'grpc',
): AuthorizationProvider {
  fields.refuseUnknown();
  if (!fields.has('port')) fields.error('port', 'port is missing', 'add the port of the service');
  const base = {
    kind: 'authorization',
    name,
    protocol,
    service: fields.requiredText('service'),
    port: fields.port('port') ?? 0,
    timeoutMs: readTimeout(fields),
    isFailOpen: fields.flag('failOpen') ?? false,
    statusOnError: readStatus(fields),
    clearsRouteCache: fields.flag('clearRouteCache') ?? false,
    body: fields.object('includeRequestBodyInCheck', readBody),
  } as const;
  if (protocol === 'grpc') {
    return {
      ...base,
      pathPrefix: '',
      requestHeaders: [],
      additionalHeaders: new Map(),
      toUpstreamOnAllow: [],
      toDownstreamOnAllow: [],
      toDownstreamOnDeny: [],
    };
  }
  fields.exclusive('includeRequestHeadersInCheck', 'includeHeadersInCheck');
  const older = readHeaders(fields, 'includeHeadersInCheck');
  const newer = readHeaders(fields, 'includeRequestHeadersInCheck');
  return {
    ...base,
    pathPrefix: readPrefix(fields),
    requestHeaders: [...newer, ...older],
    additionalHeaders: fields.textMap('includeAdditionalHeadersInCheck'),
    toUpstreamOnAllow: readHeaders(fields, 'headersToUpstreamOnAllow'),
    toDownstreamOnAllow: readHeaders(fields, 'headersToDownstreamOnAllow'),
    toDownstreamOnDeny: readHeaders(fields, 'headersToDownstreamOnDeny'),
  };
}

function readTimeout(fields: Fields): number | null {
  const timeoutMs = fields.durationMs('timeout');
  if (timeoutMs === null || timeoutMs >= 1) return timeoutMs;
  fields.error('timeout', 'must be at least 1ms', 'write for example 2s');
  return null;
}

/** A text, as Istio has it: `"503"`. */
function readStatus(fields: Fields): number | null {
  const text = fields.text('statusOnError');
  if (text === '') return null;
  const status = Number(text);
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  fields.error('statusOnError', `"${text}" is not a status`, 'write for example "503"');
  return null;
}

function readPrefix(fields: Fields): string {
  const prefix = fields.text('pathPrefix');
  if (prefix === '' || /^\/[^\s?#]*$/.test(prefix)) return prefix;
  fields.error('pathPrefix', `"${prefix}" is not the beginning of a path`, 'begin it with a slash');
  return '';
}

function readBody(fields: Fields): AuthorizationBody {
  fields.refuseUnknown();
  return {
    bytesMax: fields.integer('maxRequestBytes', { min: 1, max: BODY_BYTES_MAX }) ?? BODY_BYTES,
    allowsPartial: fields.flag('allowPartialMessage') ?? false,
    packsAsBytes: fields.flag('packAsBytes') ?? false,
  };
}

function readHeaders(fields: Fields, field: string): readonly string[] {
  const names = fields.texts(field);
  for (const name of names) {
    const isSound = /^(?:\*|\*?[A-Za-z0-9!#$%&'+\-.^_\x60|~]+|[A-Za-z0-9!#$%&'+\-.^_\x60|~]+\*)$/.test(name);
    if (!isSound) fields.error(field, `"${name}" is not a header name`, 'write a name, PREFIX* or *SUFFIX');
  }
  return names;
}
