// A sidecar with extensions from a folder of the test's own, in the process of the test, in front of an app that says
// what it was asked.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { createLog } from '../../src/base/log.ts';
import { formatProblem } from '../../src/base/problem.ts';
import { extensions } from '../../src/sidecar/bootstrap-registry.ts';
import { Proxy } from '../../src/sidecar/proxy.ts';
import { BootstrapSchema } from '../../src/xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { cluster, listener, portOf } from '../support/tls-proxy.ts';

const STRUCT = 'type.googleapis.com/google.protobuf.Struct';
const TYPED = 'type.googleapis.com/xds.type.v3.TypedStruct';
const ROUTER = {
  name: 'router',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
};

export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/**
 * A module of the interface's version 1 with these steps, as the text of an object; `names` are constants for the
 * fields `x-NAME`.
 */
export function moduleOf(
  name: string,
  steps: string,
  { more = '', names = [] }: { readonly more?: string; readonly names?: readonly string[] } = {},
): string {
  const constants = names.map((each) => `  const ${each} = env.header('x-${each}');`);
  return [
    `import type { ExtensionEnv, ExtensionSteps } from 'outrigger/extension';`,
    `export const apiVersion: string = 'outrigger.dev/extension/v1';`,
    `export const name = '${name}';`,
    more,
    `export function compile(config: Record<string, unknown>, env: ExtensionEnv): ExtensionSteps {`,
    ...constants,
    `  return ${steps};`,
    `}`,
  ].join('\n');
}

export class ExtensionBench {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'outrigger-extension-'));
  readonly lines: string[] = [];
  /** What the app was asked, in order. */
  readonly seen: IncomingHttpHeaders[] = [];
  readonly #app: Server;
  #appPort = 0;
  readonly #proxies: Proxy[] = [];

  constructor() {
    this.#app = createServer((request, response) => {
      this.seen.push(request.headers);
      response.writeHead(200, { 'x-secret': 'plans' }).end('app');
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => this.#app.listen(0, '127.0.0.1', done));
    const address = this.#app.address();
    this.#appPort = typeof address === 'object' && address !== null ? address.port : 0;
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies) await proxy.stop(0);
    this.#app.closeAllConnections();
    this.#app.close();
    rmSync(this.folder, { recursive: true });
  }

  /** Writes a module; returns what a filter says of it. */
  add(name: string, text: string): JsonObject {
    writeFileSync(join(this.folder, `${name}.ts`), text);
    return { module: name, digest: digestOf(text) };
  }

  proxy(filter: JsonObject, { isTyped = false, name = 'test' } = {}): Proxy {
    const typed = isTyped ? { '@type': TYPED, type_url: 'any', value: filter } : { '@type': STRUCT, value: filter };
    const filters = [{ name: `outrigger.extension/${name}`, typed_config: typed }, ROUTER];
    const resources = {
      listeners: [listener('in', 0, { route: { cluster: 'app' } }, { manager: { http_filters: filters } })],
      clusters: [cluster('app', this.#appPort, {})],
    };
    const bootstrap = fromJson(BootstrapSchema, { static_resources: resources }, { registry: extensions });
    const log = createLog('test', 'info', (line) => this.lines.push(line));
    const proxy = new Proxy({ bootstrap, log, drainSeconds: 0, extensions: [this.folder] });
    this.#proxies.push(proxy);
    return proxy;
  }

  /** Errors of a filter, without the place of its listener. */
  problems(filter: JsonObject, name = 'test'): readonly string[] {
    const proxy = this.proxy(filter, { name });
    const errors = proxy.problems.filter(({ severity }) => severity === 'error');
    return errors.map((problem) => formatProblem({ ...problem, path: problem.path.replace(/^.*typed_config\./, '') }));
  }

  /** A client of a sidecar with this filter. */
  async serve(filter: JsonObject, options: { isTyped?: boolean; name?: string } = {}): Promise<ExtensionClient> {
    const proxy = this.proxy(filter, options);
    const errors = proxy.problems.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) throw new Error(errors.map((problem) => formatProblem(problem)).join('\n'));
    await proxy.start();
    const port = portOf(proxy, 'in');
    return {
      proxy,
      ask: async (headers = {}, path = '/') => await fetch(`http://127.0.0.1:${port}${path}`, { headers }),
      stat: (stat) => proxy.stats.list().find(({ name }) => name.endsWith(`extension.${stat}`))?.value ?? -1,
    };
  }
}

export interface ExtensionClient {
  readonly proxy: Proxy;
  readonly ask: (headers?: Record<string, string>, path?: string) => Promise<Response>;
  readonly stat: (name: string) => number;
}
