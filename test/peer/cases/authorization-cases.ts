// Policies and requests: what each set of AuthorizationPolicies lets in and what it turns away, with the ways that
// somebody may try to get around it.
import type { PolicySet } from '../authorization-side.ts';
import type { PeerCase } from '../peer-case.ts';

export interface PolicyCases extends PolicySet {
  readonly requests: readonly PeerCase[];
}

type Sent = Omit<PeerCase, 'name' | 'is' | 'send'> & { readonly send: string };
type Request = string | Sent;

let policies = 0;

/** One AuthorizationPolicy of the namespace. */
const policy = (spec: string, meta = ''): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n` +
  `metadata: { name: p${++policies}, namespace: shop${meta} }\nspec: ${spec}\n`;

const join = (...documents: readonly string[]): string => documents.join('---\n');

/** The requests that pass and those that do not. `PATH` is GET. */
function cases(name: string, yaml: string, passing: readonly Request[], refused: readonly Request[]): PolicyCases {
  const one = (request: Request, is: string): PeerCase => {
    const sent = typeof request === 'string' ? { send: request } : request;
    const send = sent.send.includes(' ') ? sent.send : `GET ${sent.send}`;
    const told = [send, ...(sent.host === undefined ? [] : [`host ${String(sent.host)}`]), ...(sent.headers ?? [])];
    return {
      ...sent,
      send,
      name: `${name}: ${told.join(', ')} ${is === '403' ? 'is refused' : 'passes'}`,
      to: name,
      is,
    };
  };
  const requests = [
    ...passing.map((request) => one(request, '200 a')),
    ...refused.map((request) => one(request, '403')),
  ];
  return { name, yaml, requests };
}

const h = (...headers: readonly string[]): Sent => ({ send: '/', headers });
const host = (name: string): Sent => ({ send: '/', host: name });

export const POLICY_CASES: readonly PolicyCases[] = [
  cases('nothing', policy('{}'), [], ['/', '/any?q']),
  cases('everything', policy('{ rules: [{}] }'), ['/', 'POST /x'], []),
  cases('denyall', policy('{ action: DENY, rules: [{}] }'), [], ['/', 'OPTIONS /']),
  cases(
    'denyadmin',
    policy('{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin, /admin/*] } }] }] }'),
    ['/', '/administer', '/Admin', '/ADMIN/x', '/admin;x', '/admin%2fx', '//admin', '/x/../y', '/admin.', '/%2fadmin'],
    [
      '/admin', '/admin?x', '/admin/', '/admin/x', '/admin/%2e%2e/admin/x', '/x/../admin', '/./admin', '/%61dmin', '/admin//x', '/admin/x%2fy', '/a/b/../../admin?q=/', '/..;/admin', '/x/..;y=z/admin/a', '/x/y/..;/..;/admin', '/.;/admin', '/x\\..\\admin', '/admin?/../x',
    ], // prettier-ignore
  ),
  cases(
    'denysecret',
    policy('{ action: DENY, rules: [{ to: [{ operation: { paths: ["*/secret"] } }] }] }'),
    ['/secrets', '/secret/', '/secret/x', '/SECRET'],
    ['/secret', '/a/secret', '/a/../secret', '//secret', '/secret?x=/y'],
  ),
  cases(
    'allowpath',
    policy('{ rules: [{ to: [{ operation: { paths: [/ok, /pub*] } }] }] }'),
    ['/ok', '/ok?a=/x', '/pub', '/public/x', '/x/../ok', '/pub/%2e%2e/public'],
    [
      '/',
      '/ok/',
      '/OK',
      '//ok',
      '/ok%2f',
      '/xpub',
      '/pub/../x',
      '/ok;a',
      '/ok%20',
      '/pub/..;/x',
      '/pub/a/..;b/..;/x',
      '/?/ok',
      '/ok%3fx',
    ],
  ),
  cases(
    'notpaths',
    policy('{ rules: [{ to: [{ operation: { notPaths: [/admin*] } }] }] }'),
    ['/', '/x/admin', '//admin'],
    ['/admin', '/admin/x', '/x/../admin', '/administer', '/%61dmin'],
  ),
  cases('anypath', policy('{ rules: [{ to: [{ operation: { paths: ["*"] } }] }] }'), ['/', '/x'], []),
  cases(
    'template',
    policy('{ rules: [{ to: [{ operation: { paths: ["/orders/{*}/items", "/files/{**}"] } }] }] }'),
    ['/orders/1/items', '/orders/a.b/items?x', '/files/a/b/c', '/files/a', '/orders/%41/items'],
    ['/orders//items', '/orders/1/2/items', '/orders/items', '/orders/1/items/', '/file/a', '/orders/1/Items'],
  ),
  cases(
    'methods',
    policy('{ rules: [{ to: [{ operation: { methods: [GET, HEAD] } }] }] }'),
    ['/', 'HEAD /'],
    ['POST /', 'DELETE /', 'OPTIONS /'],
  ),
  cases(
    'notmethods',
    policy('{ action: DENY, rules: [{ to: [{ operation: { notMethods: [GET] } }] }] }'),
    ['/'],
    ['POST /', 'HEAD /'],
  ),
  cases(
    'methodprefix',
    policy('{ action: DENY, rules: [{ to: [{ operation: { methods: ["P*"] } }] }] }'),
    ['/', 'DELETE /'],
    ['POST /', 'PUT /', 'PATCH /'],
  ),
  cases(
    'hosts',
    policy('{ action: DENY, rules: [{ to: [{ operation: { hosts: [secret.test, "*.internal"] } }] }] }'),
    [host('public.test'), host('secret.test:8080'), host('secret.test.'), host('xsecret.test'), host('internal'), host('a.internal:80')],
    [host('secret.test'), host('Secret.TEST'), host('a.INTERNAL'), host('a.b.internal')],
  ), // prettier-ignore
  cases(
    'hostport',
    policy('{ rules: [{ to: [{ operation: { hosts: [ok.test, "ok.test:*"] } }] }] }'),
    [host('ok.test'), host('OK.test'), host('ok.test:80')],
    [host('ok.test.'), host('evil.test'), host('ok.test.evil'), host('notok.test')],
  ),
  cases(
    'nothosts',
    policy('{ rules: [{ to: [{ operation: { notHosts: [evil.test] } }] }] }'),
    [host('good.test'), host('evil.test:80')],
    [host('evil.test'), host('EVIL.test')],
  ),
  cases('port', policy('{ rules: [{ to: [{ operation: { ports: ["8080"] } }] }] }'), ['/'], []),
  cases('otherport', policy('{ rules: [{ to: [{ operation: { ports: ["8081"] } }] }] }'), [], ['/']),
  cases('notport', policy('{ action: DENY, rules: [{ to: [{ operation: { notPorts: ["8080"] } }] }] }'), ['/'], []),
  cases(
    'header',
    policy('{ rules: [{ when: [{ key: "request.headers[x-token]", values: [good, "fine-*"] }] }] }'),
    [h('x-token: good'), h('X-TOKEN: good'), h('x-token: fine-1'), h('x-token: fine-'), h('x-token: good', 'x-token: good'), h('x-token: fine-1', 'x-token: good')],
    [h(), h('x-token:'), h('x-token: Good'), h('x-token: goods'), h('x-token: good, evil'), h('x-token: good', 'x-token: evil'), h('x-token: evil', 'x-token: good'), h('x-token: good', 'x-token:'), h('x-token: good', 'x-token: \xff')],
  ), // prettier-ignore
  cases(
    'headersuffix',
    policy('{ rules: [{ when: [{ key: "request.headers[x-user]", values: ["*@ok.test"] }] }] }'),
    [h('x-user: a@ok.test'), h('x-user: @ok.test'), h('x-user: a@ok.test', 'x-user: b@ok.test')],
    [h('x-user: a@ok.tests'), h('x-user: ok.test'), h('x-user: a@ok.test', 'x-user: b@evil.test'), h('x-user: a@ok.test', 'x-user: t')],
  ), // prettier-ignore
  cases(
    'denyheader',
    policy('{ action: DENY, rules: [{ when: [{ key: "request.headers[x-a]", values: [bad] }] }] }'),
    [h(), h('x-a: good'), h('x-a: BAD'), h('x-b: bad')],
    [h('x-a: bad'), h('x-a: good', 'x-a: bad'), h('x-a: bad', 'x-a: good'), h('x-a: bad', 'x-a: bad')],
  ),
  cases(
    'denyunless',
    policy('{ action: DENY, rules: [{ when: [{ key: "request.headers[x-a]", notValues: [good] }] }] }'),
    [h('x-a: good'), h('x-a: good', 'x-a: good')],
    [
      h(),
      h('x-a: bad'),
      h('x-a: good', 'x-a: bad'),
      h('x-a: bad', 'x-a: good'),
      h('x-a:'),
      h('x-a: good', 'x-a: \xff'),
    ],
  ),
  cases(
    'present',
    policy('{ rules: [{ when: [{ key: "request.headers[x-a]", values: ["*"] }] }] }'),
    [h('x-a: 1'), h('x-a: 1', 'x-a: 2')],
    [h(), h('x-a:'), h('x-a: 1', 'x-a:')],
  ),
  cases(
    'absent',
    policy('{ rules: [{ when: [{ key: "request.headers[x-a]", notValues: ["*"] }] }] }'),
    [h(), h('x-b: 1')],
    [h('x-a: 1'), h('x-a: 1', 'x-a:')],
  ),
  cases(
    'allkeys',
    policy(
      '{ rules: [{ when: [{ key: "request.headers[x-a]", values: [a] }, { key: "request.headers[x-b]", values: [b] }] }] }',
    ),
    [h('x-a: a', 'x-b: b')],
    [h('x-a: a'), h('x-b: b'), h('x-a: b', 'x-b: a')],
  ),
  cases(
    'source',
    policy('{ rules: [{ from: [{ source: { ipBlocks: [127.0.0.0/8] } }] }] }'),
    ['/', h('x-forwarded-for: 10.1.2.3')],
    [],
  ),
  cases(
    'othersource',
    policy('{ rules: [{ from: [{ source: { ipBlocks: [10.0.0.1] } }] }] }'),
    [],
    ['/', h('x-forwarded-for: 10.0.0.1')],
  ),
  cases(
    'notsource',
    policy('{ action: DENY, rules: [{ from: [{ source: { notIpBlocks: [127.0.0.1] } }] }] }'),
    ['/'],
    [],
  ),
  cases(
    'remote',
    policy('{ rules: [{ from: [{ source: { remoteIpBlocks: [10.1.0.0/16, "2001:db8::/32"] } }] }] }'),
    [h('x-forwarded-for: 10.1.2.3'), h('x-forwarded-for: 1.2.3.4, 10.1.2.3'), h('x-forwarded-for: 2001:db8::1')],
    ['/', h('x-forwarded-for: 10.2.2.3'), h('x-forwarded-for: 10.1.2.3, 10.2.2.3'), h('x-forwarded-for: 2001:db9::1')],
  ),
  cases(
    'whenip',
    policy('{ rules: [{ when: [{ key: source.ip, values: [127.0.0.1] }, { key: destination.ip, values: [127.0.0.0/8] }, { key: destination.port, values: ["8080"] }] }] }'),
    ['/'],
    [],
  ), // prettier-ignore
  cases('principal', policy('{ rules: [{ from: [{ source: { principals: ["*"] } }] }] }'), [], ['/']),
  cases(
    'notprincipal',
    policy('{ action: DENY, rules: [{ from: [{ source: { notPrincipals: ["*"] } }] }] }'),
    [],
    ['/'],
  ),
  cases('namespace', policy('{ rules: [{ from: [{ source: { namespaces: ["*"] } }] }] }'), [], ['/']),
  cases('notnamespace', policy('{ rules: [{ from: [{ source: { notNamespaces: [evil] } }] }] }'), ['/'], []),
  cases('account', policy('{ rules: [{ from: [{ source: { serviceAccounts: [a.b, shop/c] } }] }] }'), [], ['/']),
  cases('trustdomain', policy('{ rules: [{ from: [{ source: { trustDomains: [cluster.local] } }] }] }'), [], ['/']),
  cases(
    'requestprincipal',
    policy('{ rules: [{ from: [{ source: { requestPrincipals: ["*"] } }] }] }'),
    [],
    ['/', h('authorization: Bearer x')],
  ),
  cases(
    'notrequestprincipal',
    policy('{ action: DENY, rules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }] }] }'),
    [],
    ['/'],
  ),
  cases('claim', policy('{ rules: [{ when: [{ key: "request.auth.claims[a][b]", values: [c] }] }] }'), [], ['/']),
  cases('notclaim', policy('{ rules: [{ when: [{ key: "request.auth.audiences", notValues: [c] }] }] }'), ['/'], []),
  cases('sni', policy('{ rules: [{ when: [{ key: connection.sni, values: ["*"] }] }] }'), [], ['/']),
  cases('notsni', policy('{ rules: [{ when: [{ key: connection.sni, notValues: [a.test] }] }] }'), ['/'], []),
  cases(
    'order',
    join(
      policy('{ action: DENY, rules: [{ to: [{ operation: { paths: [/both] } }] }] }'),
      policy('{ rules: [{ to: [{ operation: { paths: [/both, /ok] } }] }] }'),
      policy('{ rules: [{ to: [{ operation: { paths: [/other] } }] }] }'),
      policy('{ action: AUDIT, rules: [{ to: [{ operation: { paths: [/audited] } }] }] }'),
    ),
    ['/ok', '/other'],
    ['/both', '/neither', '/audited'],
  ),
  cases('audit', policy('{ action: AUDIT, rules: [{}] }'), ['/', '/x'], []),
  cases(
    'dryrun',
    join(
      policy('{ action: DENY, rules: [{}] }', ', annotations: { istio.io/dry-run: "true" }'),
      policy(
        '{ rules: [{ to: [{ operation: { paths: [/never] } }] }] }',
        ', annotations: { istio.io/dry-run: "true" }',
      ),
    ),
    ['/', '/never'],
    [],
  ),
  cases(
    'custom',
    policy('{ action: CUSTOM, provider: { name: nobody }, rules: [{ to: [{ operation: { paths: [/asked] } }] }] }'),
    ['/'],
    ['/asked'],
  ),
  cases(
    'several',
    policy('{ rules: [{ from: [{ source: { ipBlocks: [10.0.0.1] } }, { source: { ipBlocks: [127.0.0.1] } }], to: [{ operation: { methods: [GET], paths: [/a] } }, { operation: { methods: [PUT] } }] }] }'),
    ['/a', 'PUT /b'],
    ['/b', 'POST /a'],
  ), // prettier-ignore
  cases(
    'selected',
    join(
      policy('{ selector: { matchLabels: { app: other } }, action: DENY, rules: [{}] }'),
      policy(
        '{ selector: { matchLabels: { app: app } }, action: DENY, rules: [{ to: [{ operation: { paths: [/x] } }] }] }',
      ),
      policy(
        '{ targetRefs: [{ kind: Service, group: "", name: app }], action: DENY, rules: [{ to: [{ operation: { paths: [/y] } }] }] }',
      ),
      policy('{ targetRefs: [{ kind: Service, group: "", name: other }], action: DENY, rules: [{}] }'),
    ),
    ['/'],
    ['/x', '/y'],
  ),
  cases(
    'root',
    policy('{ action: DENY, rules: [{ to: [{ operation: { paths: [/x] } }] }] }').replace(
      'namespace: shop',
      'namespace: istio-system',
    ),
    ['/'],
    ['/x'],
  ),
  cases('elsewhere', policy('{ action: DENY, rules: [{}] }').replace('namespace: shop', 'namespace: other'), ['/'], []),
  cases(
    'merged',
    join(
      'kind: MeshConfig\nspec: { pathNormalization: { normalization: DECODE_AND_MERGE_SLASHES } }\n',
      policy('{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin, /admin/*] } }] }] }'),
    ),
    ['/', '/administer', '/admin;x'],
    ['/admin', '//admin', '/%2fadmin', '/admin%2fx', '/x%2f..%2fadmin', '/admin%5cx', '///admin//x'],
  ),
];

const tcp = (name: string, spec: string, is: '200 a' | 'close'): PolicyCases => ({
  name,
  yaml: policy(spec),
  protocol: 'tcp',
  requests: [
    {
      name: `${name}: a connection ${is === 'close' ? 'is closed' : 'passes'}`,
      send: 'GET /',
      to: name,
      is,
      isFresh: true,
    },
  ],
});

/** Connections: what asks for requests makes an ALLOW less and a DENY more. */
export const TCP_POLICY_CASES: readonly PolicyCases[] = [
  tcp('tcpdeny', '{ action: DENY, rules: [{ from: [{ source: { ipBlocks: [127.0.0.1] } }] }] }', 'close'),
  tcp('tcpallow', '{ rules: [{ from: [{ source: { ipBlocks: [127.0.0.1] } }] }] }', '200 a'),
  tcp('tcpother', '{ rules: [{ from: [{ source: { ipBlocks: [10.0.0.1] } }] }] }', 'close'),
  tcp('tcpallowpath', '{ rules: [{ to: [{ operation: { paths: [/] } }] }] }', 'close'),
  tcp(
    'tcpallowpathport',
    '{ rules: [{ to: [{ operation: { paths: [/], ports: ["8080"] } }] }, { to: [{ operation: { ports: ["8080"] } }] }] }',
    '200 a',
  ),
  tcp('tcpdenymethod', '{ action: DENY, rules: [{ to: [{ operation: { methods: [POST] } }] }] }', 'close'),
  tcp(
    'tcpdenymethodport',
    '{ action: DENY, rules: [{ to: [{ operation: { methods: [GET], ports: ["1"] } }] }] }',
    '200 a',
  ),
  tcp(
    'tcpdenynothost',
    '{ action: DENY, rules: [{ to: [{ operation: { notHosts: [a], ports: ["8080"] } }] }] }',
    'close',
  ),
  tcp('tcpdenyheader', '{ action: DENY, rules: [{ when: [{ key: "request.headers[a]", values: [b] }] }] }', 'close'),
  tcp('tcpallowheader', '{ rules: [{ when: [{ key: "request.headers[a]", values: [b] }] }] }', 'close'),
  tcp('tcpsuffix', '{ action: DENY, rules: [{ from: [{ source: { notPrincipals: ["*/ns/a/sa/b"] } }] }] }', 'close'),
  tcp('tcpnothing', '{}', 'close'),
  tcp('tcpaudit', '{ action: AUDIT, rules: [{}] }', '200 a'),
];
