// The ports that are open to the outside: each answers its one path,
// and nothing that could change the proxy
// or show its configuration.
import { describe, expect, it } from 'vitest';
import { startMetricsServer, startReadinessServer } from '../../../src/sidecar/admin/probe-server.ts';
import { aSource } from './admin-source-builder.ts';

async function statusOf(port: number, path: string, method = 'GET'): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  await response.text();
  return response.status;
}

describe('the readiness port', () => {
  it('follows the state, and serves nothing else', async () => {
    const bench = aSource();
    const server = await startReadinessServer(bench.source, { port: 0, address: '127.0.0.1' });
    const before = await statusOf(server.port, '/healthz/ready');
    bench.setState('INITIALIZING');
    const after = await statusOf(server.port, '/healthz/ready');
    const quit = await statusOf(server.port, '/quitquitquit', 'POST');
    await server.close();
    expect({ before, after, quit, calls: bench.calls }).toEqual({ before: 200, after: 503, quit: 404, calls: [] });
  });
});

describe('the metrics port', () => {
  it('serves metrics, and nothing else', async () => {
    const server = await startMetricsServer(aSource().source, { port: 0, address: '127.0.0.1' });
    const statuses = [await statusOf(server.port, '/stats/prometheus'), await statusOf(server.port, '/config_dump')];
    await server.close();
    expect(statuses).toEqual([200, 404]);
  });
});
