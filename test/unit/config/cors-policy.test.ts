// Origins that strangers can have, where their pages would ask with the user's cookies.
import { expect, test } from 'vitest';
import { parseFile } from '../../../src/config/parse.ts';

const service = (policy: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: v }\nspec: { hosts: [a], http: [{ route: [{ destination: { host: a } }], corsPolicy: ${policy} }] }`;
const gateway = (policy: string): string =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: h }\nspec: { parentRefs: [{ kind: Service, group: "", name: a }], rules: [{ filters: [{ type: CORS, cors: ${policy} }], backendRefs: [{ name: a, port: 80 }] }] }`;

test.each([
  ['a prefix', service('{ allowOrigins: [{ prefix: "https://dev." }], allowCredentials: true }'), true],
  [
    'a prefix that is a host',
    service('{ allowOrigins: [{ prefix: "https://a.test" }], allowCredentials: true }'),
    true,
  ],
  ['any port of a host', service('{ allowOrigins: [{ prefix: "https://a.test:" }], allowCredentials: true }'), false],
  ['everybody', service('{ allowOrigins: [{ exact: "*" }], allowCredentials: true }'), true],
  ['everybody by an expression', service('{ allowOrigins: [{ regex: ".*" }], allowCredentials: true }'), true],
  ['anything that is there', service('{ allowOrigins: [{}], allowCredentials: true }'), true],
  ['an open end', service('{ allowOrigins: [{ regex: "https://a.*" }], allowCredentials: true }'), true],
  [
    'a closed end',
    service('{ allowOrigins: [{ regex: "https://[a-z]+[.]a[.]test" }], allowCredentials: true }'),
    false,
  ],
  ['whole origins', service('{ allowOrigins: [{ exact: "https://a.test" }], allowCredentials: true }'), false],
  ['a prefix without credentials', service('{ allowOrigins: [{ prefix: "https://dev." }] }'), false],
  ['everybody, of an HTTPRoute', gateway('{ allowOrigins: ["*"], allowCredentials: true }'), true],
  [
    'names of a domain, of an HTTPRoute',
    gateway('{ allowOrigins: ["https://*.a.test"], allowCredentials: true }'),
    false,
  ],
])('%s', (_, text, isWarned) => {
  const { problems, resources } = parseFile('f.yaml', text);
  expect(problems.map(({ severity, path }) => [severity, path.split('.').at(-1)])).toEqual(
    isWarned ? [['warning', 'allowOrigins']] : [],
  );
  expect(resources).toHaveLength(1);
});
