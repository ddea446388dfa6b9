// What is told of a service: who routes to it, how callers send, and for each kind of instance who gets in, each with the rule
// that says so and its place.
import { expect, it } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';
import { ResourceIndex } from '../../../src/control/resource-index.ts';
import { describeService, type ServiceDescription } from '../../../src/control/service-description.ts';
import { Translator } from '../../../src/control/translator.ts';

const pod = (name: string, version: string, more = ''): string => `
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: web, version: ${version}${more} } }
spec: { serviceAccountName: web-${version}, containers: [{ name: app, ports: [{ containerPort: 8080 }] }] }
status: { podIP: 10.0.0.${name.slice(-1)}, phase: Running, conditions: [{ type: Ready, status: "True" }] }`;
const rule = (apiVersion: string, kind: string, name: string, spec: string): string => `
---
apiVersion: ${apiVersion}
kind: ${kind}
metadata: { name: ${name.split('/')[1]}, namespace: ${name.split('/')[0]} }
spec: ${spec}`;
const WEB = `apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }, { name: db, port: 5432, appProtocol: tcp }] }
${pod('web-1', 'v1', ', security.istio.io/tlsMode: istio')}${pod('web-2', 'v2')}`;
const NETWORKING = 'networking.istio.io/v1';
const SECURITY = 'security.istio.io/v1';
const ROUTE = rule(
  NETWORKING,
  'VirtualService',
  'shop/web',
  '{ hosts: [web], http: [{ route: [{ destination: { host: web } }] }] }',
);

function describe(text: string, name: string, from = 'default'): ServiceDescription | string {
  const index = new ResourceIndex();
  index.apply('rules.yaml', parseFile('rules.yaml', text));
  const translator = new Translator({ domain: 'cluster.local', providers: [], services: [] });
  const { snapshot } = translator.translate(index.resources(), [], () => []);
  return describeService(snapshot, name, from);
}

function described(text: string, name: string, from = 'default'): ServiceDescription {
  const result = describe(text, name, from);
  if (typeof result === 'string') throw new Error(result);
  return result;
}

it.each([
  { name: 'web.shop.svc.cluster.local', from: 'default' },
  { name: 'web.shop', from: 'default' },
  { name: 'web', from: 'shop' },
])('$name from $from is the service', ({ name, from }) => {
  expect(described(WEB, name, from)).toMatchObject({
    host: 'web.shop.svc.cluster.local',
    namespace: 'shop',
    kind: 'service',
    place: 'rules.yaml:1:1',
    isSeen: true,
    ports: [
      { number: 80, name: 'http', protocol: 'http', instances: 2, meshed: 1, routes: [] },
      { number: 5432, name: 'db', protocol: 'tcp', instances: 2, meshed: 1, routes: [] },
    ],
  });
});

it.each([
  ['web', /^there is no service web\.default\.svc\.cluster\.local; did you mean web\.shop\.svc\.cluster\.local\?$/],
  ['wep.shop', /; did you mean web\.shop\.svc\.cluster\.local\?$/],
  ['entirely.different.example', /^there is no service entirely\.different\.example$/],
])('%s is none, and a likely one is named', (name, expected) => {
  expect(describe(WEB, name)).toMatch(expected);
});

it('what routes is told by port: HTTP rules are none of a TCP port', () => {
  const { ports } = described(WEB + ROUTE, 'web.shop');
  expect(ports.map(({ routes }) => routes.map(({ kind, name, does }) => `${kind} ${name}: ${does}`))).toEqual([
    ['VirtualService web: 1 HTTP rule'],
    [],
  ]);
});

it('HTTPRoutes replace the VirtualService', () => {
  const parents = '[{ group: "", kind: Service, name: web, port: 80 }]';
  const spec = `{ parentRefs: ${parents}, rules: [{ backendRefs: [{ name: web, port: 80 }] }] }`;
  const { ports } = described(
    WEB + ROUTE + rule('gateway.networking.k8s.io/v1', 'HTTPRoute', 'shop/r', spec),
    'web.shop',
  );
  expect(ports[0]?.routes.map(({ kind, name }) => `${kind} ${name}`)).toEqual(['HTTPRoute r']);
});

it('what is not exported, or what a Sidecar leaves out, is not seen from there', () => {
  const sidecar = rule(NETWORKING, 'Sidecar', 'other/default', '{ egress: [{ hosts: [./*] }] }');
  expect(described(WEB + sidecar, 'web.shop', 'other').isSeen).toBe(false);
  expect(described(WEB + sidecar, 'web.shop', 'default').isSeen).toBe(true);
});

it('instances with the same labels stand together, with what is asked of who calls them', () => {
  const text = [
    WEB,
    rule(SECURITY, 'PeerAuthentication', 'shop/default', '{ mtls: { mode: STRICT } }'),
    rule(SECURITY, 'AuthorizationPolicy', 'shop/v1', '{ selector: { matchLabels: { version: v1 } }, rules: [{}] }'),
    rule(
      SECURITY,
      'AuthorizationPolicy',
      'istio-system/all',
      '{ action: DENY, rules: [{ to: [{ operation: { methods: [PUT] } }] }] }',
    ),
    rule(
      SECURITY,
      'RequestAuthentication',
      'shop/tokens',
      '{ jwtRules: [{ issuer: me, jwksUri: https://keys.example/k }] }',
    ),
    rule(NETWORKING, 'DestinationRule', 'shop/web', '{ host: web, subsets: [{ name: v1, labels: { version: v1 } }] }'),
  ].join('');
  const { instances, sending } = described(text, 'web.shop');
  expect(sending.map(({ kind, does }) => `${kind}: ${does}`)).toEqual(['DestinationRule: subsets v1']);
  const told = instances.map(({ workloads, accounts, mutualTls, rules }) => ({
    workloads,
    accounts,
    mutualTls,
    rules: rules.map(({ kind, namespace, name, does }) => `${kind} ${namespace}/${name} ${does}`),
  }));
  const everybody = ['RequestAuthentication shop/tokens tokens of me, for the namespace'];
  const denied = 'AuthorizationPolicy istio-system/all DENY, for the mesh';
  expect(told).toEqual([
    {
      workloads: ['web-1'],
      accounts: ['web-v1'],
      mutualTls: { 5432: 'STRICT', 8080: 'STRICT' },
      rules: [...everybody, denied, 'AuthorizationPolicy shop/v1 ALLOW, for the workload'],
    },
    {
      workloads: ['web-2'],
      accounts: ['web-v2'],
      mutualTls: { 5432: 'STRICT', 8080: 'STRICT' },
      rules: [...everybody, denied],
    },
  ]);
});
