// Answers of a gRPC authorization service, and what they must do to a request and to its client.
import type { JsonObject } from '@bufbuild/protobuf';
import type { PeerCase } from '../peer-case.ts';

interface AuthorizationCase extends Partial<PeerCase> {
  readonly name: string;
  readonly gives: JsonObject | number;
}

type Options = JsonObject[];

const option = (key: string, value: string, more: JsonObject = {}): JsonObject => ({ header: { key, value }, ...more });
const ok = (fields: JsonObject): JsonObject => ({ okResponse: fields });
const request = (...headers: Options): JsonObject => ok({ headers });
const response = (...headers: Options): JsonObject => ok({ responseHeadersToAdd: headers });
const denied = (fields: JsonObject, code = 7): JsonObject => ({ status: { code }, deniedResponse: fields });

const CLIENT = ['x-a: client', 'x-b: one', 'x-b: two'];

const TABLE: readonly AuthorizationCase[] = [
  { name: 'the route is chosen again', to: 'moving', gives: request(option('x-moved', '1')), is: '418' },
  { name: 'the route is not chosen again', gives: request(option('x-moved', '1')) },
  { name: 'allowed', gives: {} },
  { name: 'allowed with a status', gives: { status: { code: 0 } } },
  {
    name: 'a query, several fields and bytes that are no UTF-8',
    gives: {},
    send: 'GET /x?a=%20&b',
    headers: ['x-l: caf\u00e9', 'x-m: 1', 'x-m: 2'],
  },
  { name: 'a POST', gives: {}, send: 'POST /x', body: 'abc' },
  { name: 'a chunked POST', gives: {}, send: 'POST /x', chunks: ['abc'] },
  { name: 'a caller that names its service', gives: {}, headers: ['x-envoy-downstream-service-cluster: shop'] },
  { name: 'context of a route', gives: {}, send: 'GET /context' },
  { name: 'set', gives: request(option('x-a', 'set'), option('x-new', 'set')), headers: CLIENT },
  {
    name: 'append: true',
    gives: request(option('x-a', 'more', { append: true }), option('x-new', 'more', { append: true })),
    headers: CLIENT,
  },
  {
    name: 'append: false',
    gives: request(option('x-a', 'other', { append: false }), option('x-b', 'other', { append: false })),
    headers: CLIENT,
  },
  {
    name: 'an action of add',
    gives: request(
      option('x-a', 'v', { appendAction: 'APPEND_IF_EXISTS_OR_ADD' }),
      option('x-new', 'v', { appendAction: 'APPEND_IF_EXISTS_OR_ADD' }),
    ),
    headers: CLIENT,
  },
  {
    name: 'an action of add if absent',
    gives: request(
      option('x-a', 'v', { appendAction: 'ADD_IF_ABSENT' }),
      option('x-new', 'v', { appendAction: 'ADD_IF_ABSENT' }),
    ),
    headers: CLIENT,
  },
  {
    name: 'an action of overwrite or add',
    gives: request(
      option('x-a', 'v', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
      option('x-new', 'v', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
    ),
    headers: CLIENT,
  },
  {
    name: 'an action of overwrite',
    gives: request(
      option('x-a', 'v', { appendAction: 'OVERWRITE_IF_EXISTS' }),
      option('x-new', 'v', { appendAction: 'OVERWRITE_IF_EXISTS' }),
    ),
    headers: CLIENT,
  },
  { name: 'names in other letters', gives: request(option('X-A', 'set')), headers: CLIENT },
  { name: 'a path', gives: request(option(':path', '/elsewhere?x')), headers: CLIENT },
  { name: 'a host', gives: request(option('host', 'other.test')), headers: CLIENT },
  { name: 'an authority', gives: request(option(':authority', 'other.test')), headers: CLIENT },
  { name: 'removed', gives: ok({ headersToRemove: ['x-b', 'X-A', 'host', ':path', 'x-none'] }), headers: CLIENT },
  {
    name: 'set and removed',
    gives: ok({ headers: [option('x-a', 'set')], headersToRemove: ['x-a'] }),
    headers: CLIENT,
  },
  {
    name: 'parameters',
    gives: ok({
      queryParametersToSet: [
        { key: 'b', value: 'new' },
        { key: 'z', value: '1' },
      ],
      queryParametersToRemove: ['c'],
    }),
    send: 'GET /x?d=1&b=2&c=3&b=4&a',
  },
  { name: 'a parameter where none was', gives: ok({ queryParametersToSet: [{ key: 'b', value: 'new' }] }) },
  { name: 'all parameters removed', gives: ok({ queryParametersToRemove: ['a'] }), send: 'GET /x?a=1' },
  { name: 'of the response: by default', gives: response(option('x-r', 'v'), option('x-app', 'v')) },
  { name: 'of the response: append', gives: response(option('x-app', 'v', { append: true })) },
  { name: 'of the response: no append', gives: response(option('x-app', 'v', { append: false })) },
  {
    name: 'of the response: if absent',
    gives: response(
      option('x-app', 'v', { appendAction: 'ADD_IF_ABSENT' }),
      option('x-r', 'v', { appendAction: 'ADD_IF_ABSENT' }),
    ),
  },
  {
    name: 'of the response: overwrite',
    gives: response(
      option('x-app', 'v', { appendAction: 'OVERWRITE_IF_EXISTS' }),
      option('x-r', 'v', { appendAction: 'OVERWRITE_IF_EXISTS' }),
    ),
  },
  {
    name: 'of the response: overwrite or add',
    gives: response(
      option('x-app', 'v', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
      option('x-r', 'v', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
    ),
  },
  { name: 'metadata', gives: { dynamicMetadata: { told: 'yes' } } },
  {
    name: 'metadata of the older place',
    gives: { okResponse: { dynamicMetadata: { told: 'older' } }, dynamicMetadata: { told: 'yes' } },
  },
  { name: 'metadata that is not taken', to: 'quiet', gives: { dynamicMetadata: { told: 'yes' } } },
  { name: 'denied', gives: denied({}), is: '403' },
  { name: 'denied without more', gives: { status: { code: 7 } }, is: '403' },
  {
    name: 'denied with all there is',
    gives: denied(
      {
        status: { code: 'Unauthorized' },
        headers: [
          option('www-authenticate', 'B'),
          option('set-cookie', 'a'),
          option('set-cookie', 'b'),
          option('content-type', 'text/x'),
        ],
        body: 'n\u00f6',
      },
      16,
    ),
    is: '401',
  },
  {
    name: 'denied with an append',
    gives: denied({ headers: [option('x-a', '1', { append: true }), option('x-a', '2', { append: true })] }),
    is: '403',
  },
  { name: 'denied with metadata', gives: { ...denied({}), dynamicMetadata: { told: 'no' } }, is: '403' },
  {
    name: 'an allowed answer with a status of denied',
    gives: { status: { code: 7 }, okResponse: { headers: [option('x-a', '1')] } },
    is: '403',
  },
  { name: 'a denied answer with a status of allowed', gives: { status: { code: 0 }, deniedResponse: { body: 'no' } } },
  { name: 'a gRPC status instead of an answer', gives: 7, is: '403' },
  { name: 'unavailable', gives: 14, is: '403' },
  { name: 'a bad name that is refused', to: 'strict', gives: request(option('x a', '1')), is: '500' },
  { name: 'a bad value that is refused', to: 'strict', gives: request(option('x-a', 'a\u0001b')), is: '500' },
  {
    name: 'a bad parameter that is refused',
    to: 'strict',
    gives: ok({ queryParametersToSet: [{ key: 'a b', value: '1' }] }),
    is: '500',
  },
  { name: 'a bad field of a denial', to: 'strict', gives: denied({ headers: [option('x a', '1')] }), is: '500' },
  { name: 'a bad field of the response', to: 'strict', gives: response(option('x a', '1')), is: '500' },
  { name: 'a bad name to remove', to: 'strict', gives: ok({ headersToRemove: ['x a'] }) },
  {
    name: 'rules',
    to: 'rules',
    gives: request(option('x-no-a', '1'), option('x-yes', '1'), option(':authority', 'other.test')),
    headers: CLIENT,
  },
  { name: 'few fields', to: 'some', gives: {}, headers: ['x-secret: s', 'other: o', ...CLIENT] },
  { name: 'raw fields', to: 'raw', gives: {}, headers: ['x-l: caf\u00e9', ...CLIENT] },
  { name: 'a body', to: 'body', gives: {}, send: 'POST /x', body: '012345' },
  { name: 'the beginning of a body', to: 'body', gives: {}, send: 'POST /x', body: '0123456789abc' },
  { name: 'no body', to: 'body', gives: {} },
  { name: 'a body of bytes', to: 'bytes', gives: {}, send: 'POST /x', body: 'abc' },
];

export const AUTHORIZATION_CASES: readonly PeerCase[] = TABLE.map(({ gives: _gives, name, headers = [], ...more }) => ({
  send: 'GET /x',
  is: '200 a',
  ...more,
  name,
  headers: [...headers, `x-case: ${name}`],
  answer: { kind: 'raw', bytes: 'HTTP/1.1 200 OK\r\nx-app: app\r\ncontent-length: 0\r\n\r\n', closes: false },
}));

export const AUTHORIZATION_ANSWERS: ReadonlyMap<string, JsonObject | number> = new Map(
  TABLE.map(({ name, gives }) => [name, gives]),
);
