// What is said of AuthorizationPolicies that do not do what somebody may think they do.
import { expect, it } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { readNode, type MeshNode } from '../../../src/control/mesh-node.ts';
import { translateFiles } from '../../../src/control/offline.ts';

function aNode(protocol: string): MeshNode {
  const node = readNode({
    id: 'sidecar~10.0.0.1~app.shop~x',
    cluster: '',
    metadata: {
      NAMESPACE: 'shop',
      WORKLOAD_NAME: 'app',
      LABELS: { 'security.istio.io/tlsMode': 'istio' },
      OUTRIGGER: { service: 'app', apps: [{ port: 8080, protocol, inboundPort: 15_006 }] },
    },
  });
  if (typeof node === 'string') throw new Error(node);
  return node;
}

const STRICT =
  'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: s, namespace: shop }\nspec: { mtls: { mode: STRICT } }\n---\n';
const policy = (spec: string, annotations = ''): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: shop${annotations} }\nspec: ${spec}\n`;

function warnings(protocol: string, text: string): readonly string[] {
  const { problems } = translateFiles([{ file: 'p.yaml', text }], { workloads: [aNode(protocol)] });
  return problems.map((problem) => formatProblem(problem).replace(/^p\.yaml:\d+:\d+: /, ''));
}

const PATHS = 'rules: [{ to: [{ operation: { paths: [/a] } }] }]';
const GRPC_CHECKER = `kind: MeshConfig
extensionProviders: [{ name: checker, envoyExtAuthzGrpc: { service: checker.shop.svc.cluster.local, port: 9000 } }]
---
apiVersion: v1
kind: Service
metadata: { name: checker, namespace: shop }
spec: { ports: [{ port: 9000, name: grpc }] }
---
`;
const NAMES = 'rules: [{ from: [{ source: { principals: [a] } }] }]';

it.each<[string, string, string, string]>([
  [
    'a DENY that connections cannot be asked',
    'tcp',
    policy(`{ action: DENY, ${PATHS} }`),
    'connections to app:8080 cannot be asked for path, and are denied',
  ],
  [
    'an ALLOW that connections cannot be asked',
    'tcp',
    policy(`{ ${PATHS} }`),
    'connections to app:8080 cannot be asked for path: the rule lets none of them in',
  ],
  [
    'a CUSTOM for connections, about which nobody is asked',
    'tcp',
    policy(`{ action: CUSTOM, provider: { name: checker }, ${PATHS} }`),
    'checker is not asked about connections to app:8080: those that the rule names are denied',
  ],
  [
    'a CUSTOM whose provider cannot see what connections lack',
    'tcp',
    `${GRPC_CHECKER}${policy(`{ action: CUSTOM, provider: { name: checker }, ${PATHS} }`)}`,
    'connections to app:8080 cannot be asked for path: its provider is asked about each of them',
  ],
  [
    'a DENY by identity where plaintext passes',
    'http',
    policy(`{ action: DENY, ${NAMES} }`),
    'app:8080 takes plaintext, which has no identity',
  ],
  [
    'an exception where plaintext passes',
    'http',
    policy('{ rules: [{ from: [{ source: { notNamespaces: [evil] } }] }] }'),
    'app:8080 takes plaintext',
  ],
  [
    'an ALLOW that nobody can meet',
    'http',
    policy('{ rules: [{ to: [{ operation: { methods: [GET], notMethods: [GET] } }] }] }'),
    'nobody can meet the rule',
  ],
  [
    'a provider that is not there',
    'http',
    policy('{ action: CUSTOM, provider: { name: x }, rules: [{}] }'),
    'no extension provider is named x',
  ],
  [
    'a dry run that cannot be read',
    'http',
    policy('{}', ', annotations: { istio.io/dry-run: "maybe" }'),
    'neither true nor false',
  ],
  [
    'a ServiceEntry as its target',
    'http',
    policy('{ targetRefs: [{ kind: ServiceEntry, group: networking.istio.io, name: x }], rules: [{}] }'),
    'a policy is for workloads, and x has none',
  ],
  [
    'a target that is not there',
    'http',
    policy('{ targetRefs: [{ kind: Service, name: x }], rules: [{}] }'),
    'no Service of namespace shop is named x',
  ],
])('warns of %s', (_name, protocol, text, expected) => {
  expect(warnings(protocol, text).filter((line) => line.includes(expected))).toHaveLength(1);
});

it.each<[string, string, string]>([
  ['HTTP is asked for what it can be asked', 'http', policy(`{ action: DENY, ${PATHS} }`)],
  [
    'the rule names another port',
    'tcp',
    policy('{ action: DENY, rules: [{ to: [{ operation: { paths: [/a], ports: ["80"] } }] }] }'),
  ],
  [
    'a provider is asked about connections',
    'tcp',
    `${GRPC_CHECKER}${policy('{ action: CUSTOM, provider: { name: checker }, rules: [{}] }')}`,
  ],
  ['plaintext does not pass', 'http', STRICT + policy(`{ action: DENY, ${NAMES} }`)],
  ['an ALLOW asks for an identity', 'http', policy(`{ ${NAMES} }`)],
])('says nothing where %s', (_name, protocol, text) => {
  expect(warnings(protocol, text)).toEqual([]);
});
