// The cases of the benchmark: what is sent, which route table lies between, and who can take part.
import {
  bareMeshRoutes,
  generalRoutes,
  manyRoutes,
  meshRoutes,
  resilientRoutes,
  type BootstrapRoutes,
} from './bench-bootstrap.ts';

import { securityOf } from './bench-security.ts';

/** `outrigger-bare` is our sidecar without what the case adds: what that costs. */
export const PROXY_NAMES = ['outrigger', 'outrigger-bare', 'envoy', 'nginx', 'haproxy', 'http-proxy'] as const;
export type ProxyName = (typeof PROXY_NAMES)[number];

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  readonly routes: BootstrapRoutes;
  /** What `outrigger-bare` gets instead; null where it takes no part. */
  readonly bareRoutes: BootstrapRoutes | null;
  /** Proxies that cannot express the route table stay out; the report shows `-`. */
  readonly proxies: readonly ProxyName[];
  /** A path for every request, or the number of paths `/service-N/items` to pick from at random. */
  readonly path: string | { readonly services: number };
  readonly method: 'GET' | 'POST';
  /** Bytes of the request body; 0 for none. */
  readonly bodyBytes: number;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Sends `Connection: close`, so that each request needs a connection of its own. */
  readonly closes: boolean;
  /** Connections that the client keeps busy. */
  readonly connections: number;
  /** Every request is traced, to a Collector that throws the spans away. */
  readonly isTraced: boolean;
  /** TLS with certificates of both ends, from the client and to the upstream. */
  readonly isMutual: boolean;
}

const DEFAULTS = {
  method: 'GET',
  bodyBytes: 0,
  headers: {},
  closes: false,
  connections: 32,
  isTraced: false,
  isMutual: false,
  bareRoutes: null,
} as const;
const ALL: readonly ProxyName[] = ['outrigger', 'envoy', 'nginx', 'haproxy', 'http-proxy'];
const MESH_ONLY: readonly ProxyName[] = ['outrigger', 'envoy'];

const SECURITY = securityOf();

export const BENCH_CASES: readonly BenchCase[] = [
  { ...DEFAULTS, name: 'plain', title: 'GET 100 B', routes: generalRoutes(), proxies: ALL, path: '/100' },
  {
    ...DEFAULTS,
    name: 'mesh',
    title: 'GET 100 B through a mesh-like route table',
    routes: meshRoutes(),
    proxies: MESH_ONLY,
    path: '/100',
  },
  {
    ...DEFAULTS,
    name: 'resilient',
    title: 'mesh, with retries, budget, limits, outlier detection and least request',
    routes: resilientRoutes(),
    bareRoutes: bareMeshRoutes(),
    proxies: ['outrigger', 'outrigger-bare', 'envoy'],
    path: '/100',
  },
  {
    ...DEFAULTS,
    name: 'secure',
    title: 'mesh, with a token for each request and RBAC with five policies',
    routes: { ...meshRoutes(), filters: SECURITY.filters },
    bareRoutes: meshRoutes(),
    headers: { authorization: SECURITY.authorization },
    proxies: ['outrigger', 'outrigger-bare', 'envoy'],
    path: '/100',
  },
  { ...DEFAULTS, name: '16k', title: 'GET 16 KiB', routes: generalRoutes(), proxies: ALL, path: '/16k' },
  {
    ...DEFAULTS,
    name: '1m',
    title: 'GET 1 MiB',
    routes: generalRoutes(),
    proxies: ALL,
    path: '/1m',
    connections: 8,
  },
  {
    ...DEFAULTS,
    name: 'post',
    title: 'POST 16 KiB',
    routes: generalRoutes(),
    proxies: ALL,
    path: '/post',
    method: 'POST',
    bodyBytes: 16 * 1024,
  },
  {
    ...DEFAULTS,
    name: 'connect',
    title: 'GET 100 B, a new connection for each request',
    routes: generalRoutes(),
    proxies: ALL,
    path: '/100',
    closes: true,
  },
  {
    ...DEFAULTS,
    name: 'routes',
    title: 'GET 100 B, 5,000 routes in one virtual host',
    routes: manyRoutes(5000),
    proxies: MESH_ONLY,
    path: { services: 5000 },
  },
  {
    ...DEFAULTS,
    name: 'traced',
    title: 'GET 100 B, every request traced to a Collector',
    routes: meshRoutes(),
    proxies: MESH_ONLY,
    path: '/100',
    isTraced: true,
  },
  {
    ...DEFAULTS,
    name: 'mtls',
    title: 'GET 100 B, mTLS from the client and to the upstream',
    routes: generalRoutes(),
    proxies: MESH_ONLY,
    path: '/100',
    isMutual: true,
  },
];
