// Starts the upstream and the proxies of the benchmark, each pinned to its core.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePort, freePorts } from '../support/free-port.ts';
import { OUTRIGGER, PROJECT_ROOT, realPart } from '../support/real-parts.ts';
import { accepts } from '../support/until.ts';
import type { BenchCase, ProxyName } from './bench-case.ts';
import { benchBootstrap } from './bench-bootstrap.ts';
import { makeCertificates, type BenchCertificates } from './bench-certificates.ts';
import { frontConfig, haproxyConfig, nginxConfig, upstreamConfig, type SecurePort } from './bench-config.ts';

/** The proxy has a core of its own; load and upstream share another, or have one each where there are more. */
export const PROXY_CORE = 0;
export const LOAD_CORE = Math.min(1, cpus().length - 1);
export const UPSTREAM_CORE = Math.min(2, cpus().length - 1);

export const BENCH_FOLDER = join(PROJECT_ROOT, '.cache/bench');

export interface BenchProcess {
  readonly child: Child;
  readonly port: number;
  /** What stands between the client and the proxy where the client cannot speak mTLS; else null. */
  readonly front: Child | null;
}

export interface BenchUpstream extends BenchProcess {
  /** The same over mTLS. */
  readonly secure: SecurePort;
}

/** A command pinned to a core. */
export function startPinned(core: number, command: string, args: readonly string[]): Child {
  return startChild(realPart('taskset'), ['-c', String(core), command, ...args]);
}

export async function startUpstream(): Promise<BenchUpstream> {
  const folder = join(BENCH_FOLDER, 'upstream');
  await mkdir(join(folder, 'files'), { recursive: true });
  await writeFile(join(folder, 'files/16k'), 'x'.repeat(16 * 1024));
  await writeFile(join(folder, 'files/1m'), 'x'.repeat(1024 * 1024));
  const [port = 0, securePort = 0] = await freePorts(2);
  const secure = { port: securePort, certificates: makeCertificates(join(BENCH_FOLDER, 'tls')) };
  const file = join(folder, 'nginx.conf');
  await writeFile(file, upstreamConfig(folder, port, secure));
  return { ...(await ready(startPinned(UPSTREAM_CORE, realPart('nginx'), ['-c', file]), port)), secure };
}

/** A Collector that takes spans over gRPC and throws them away. */
export async function startCollector(): Promise<BenchProcess> {
  const [port = 0] = await freePorts(1);
  const file = join(BENCH_FOLDER, 'collector.yaml');
  const config = {
    receivers: { otlp: { protocols: { grpc: { endpoint: `127.0.0.1:${port}` } } } },
    exporters: { debug: { verbosity: 'basic', sampling_initial: 1, sampling_thereafter: 1_000_000 } },
    service: {
      telemetry: { metrics: { level: 'none' }, logs: { level: 'error' } },
      pipelines: { traces: { receivers: ['otlp'], exporters: ['debug'] } },
    },
  };
  await writeFile(file, JSON.stringify(config));
  return ready(startPinned(UPSTREAM_CORE, realPart('otelcol'), ['--config', file]), port);
}

export interface BenchPeers {
  readonly upstreamPort: number;
  /** Of the case with mTLS on both sides; null in the others, which are plaintext. */
  readonly certificates: BenchCertificates | null;
  /** Where spans go in a traced case; null in the others. */
  readonly collectorPort: number | null;
}

export async function startProxy(name: ProxyName, benchCase: BenchCase, peers: BenchPeers): Promise<BenchProcess> {
  const { upstreamPort, collectorPort, certificates } = peers;
  const folder = join(BENCH_FOLDER, name);
  await mkdir(folder, { recursive: true });
  const [port = 0, admin = 0] = await freePorts(2);
  const write = async (file: string, text: string): Promise<string> => {
    const path = join(folder, file);
    await writeFile(path, text);
    return path;
  };
  const bootstrap = (): Promise<string> =>
    write(
      'bootstrap.json',
      JSON.stringify(
        benchBootstrap(
          name === 'outrigger-bare' && benchCase.bareRoutes !== null ? benchCase.bareRoutes : benchCase.routes,
          { admin, listen: port, upstream: upstreamPort, collector: collectorPort },
          certificates,
        ),
      ),
    );
  const start = async (): Promise<Child> => {
    switch (name) {
      case 'outrigger':
      case 'outrigger-bare':
        return startPinned(PROXY_CORE, process.execPath, [OUTRIGGER, 'sidecar', '-c', await bootstrap()]);
      case 'envoy': {
        const flags = ['--concurrency', '1', '--log-level', 'error', '--disable-hot-restart', '--use-dynamic-base-id'];
        return startPinned(PROXY_CORE, realPart('envoy'), ['-c', await bootstrap(), ...flags]);
      }
      case 'nginx': {
        const file = await write('nginx.conf', nginxConfig(folder, port, upstreamPort));
        return startPinned(PROXY_CORE, realPart('nginx'), ['-c', file]);
      }
      case 'haproxy':
        return startPinned(PROXY_CORE, realPart('haproxy'), [
          '-db',
          '-f',
          await write('haproxy.cfg', haproxyConfig(port, upstreamPort)),
        ]);
      case 'http-proxy':
        return startPinned(PROXY_CORE, process.execPath, [
          join(import.meta.dirname, 'http-proxy.ts'),
          String(port),
          String(upstreamPort),
        ]);
      default:
        return name satisfies never;
    }
  };
  const proxy = await ready(await start(), port);
  return certificates === null ? proxy : withFront(proxy, join(folder, 'front'), certificates);
}

/** Puts an nginx before the proxy, on the client's core, that shows a client certificate. */
async function withFront(proxy: BenchProcess, folder: string, certificates: BenchCertificates): Promise<BenchProcess> {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  await writeFile(file, frontConfig(folder, port, { port: proxy.port, certificates }));
  const front = await ready(startPinned(LOAD_CORE, realPart('nginx'), ['-c', file]), port);
  return { child: proxy.child, port, front: front.child };
}

async function ready(child: Child, port: number): Promise<BenchProcess> {
  await untilReady(child, () => accepts(port));
  return { child, port, front: null };
}
