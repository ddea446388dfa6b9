// A guard in front of bytes: nothing is dialled for a connection that it turns away, which is closed, counted and logged.
import { connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild, untilReady, type Child } from '../support/child.ts';
import { freePorts, listen } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { statusOf, until } from '../support/until.ts';

let greeter: Server;
let dialled = 0;
let folder = '';
let child: Child | null = null;

beforeEach(() => {
  dialled = 0;
  greeter = createServer((socket) => {
    dialled++;
    socket.end('220 hello\r\n');
  });
  folder = mkdtempSync(join(tmpdir(), 'outrigger-guard-'));
});
afterEach(async () => {
  await child?.stop();
  greeter.close();
  rmSync(folder, { recursive: true });
});

/** What the client gets until the end. */
function heard(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    socket.on('data', (bytes) => (text += bytes.toString()));
    socket.on('error', () => resolve(text));
    socket.on('close', () => resolve(text));
  });
}

const TYPES = 'type.googleapis.com/envoy.extensions';

function chainOf(action: string, upstream: number): unknown {
  const policies = { 'every one': { permissions: [{ any: true }], principals: [{ any: true }] } };
  const format = '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_HOST%\n';
  const log = {
    name: 'file',
    typed_config: {
      '@type': `${TYPES}.access_loggers.file.v3.FileAccessLog`,
      path: join(folder, 'log'),
      log_format: { text_format_source: { inline_string: format } },
    },
  };
  return {
    filters: [
      {
        name: 'rbac',
        typed_config: {
          '@type': `${TYPES}.filters.network.rbac.v3.RBAC`,
          stat_prefix: 'guard.',
          rules: { action, policies },
        },
      },
      {
        name: 'tcp',
        typed_config: {
          '@type': `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`,
          stat_prefix: 'bytes',
          cluster: String(upstream),
          access_log: [log],
        },
      },
    ],
  };
}

const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

test.each([
  ['DENY', '', 0, ['guard.rbac.allowed: 0', 'guard.rbac.denied: 1']],
  ['ALLOW', '220 hello\r\n', 1, ['guard.rbac.allowed: 1', 'guard.rbac.denied: 0']],
])('%s: a server that speaks first says %j', async (action, text, dials, counted) => {
  const upstream = await listen(greeter);
  const [admin = 0, port = 0] = await freePorts(2);
  const name = String(upstream);
  const bootstrap = {
    admin: { address: address(admin) },
    static_resources: {
      listeners: [{ name: 'main', address: address(port), filter_chains: [chainOf(action, upstream)] }],
      clusters: [
        {
          name,
          load_assignment: {
            cluster_name: name,
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstream) } }] }],
          },
        },
      ],
    },
  };
  const file = join(folder, 'bootstrap.yaml');
  writeFileSync(file, JSON.stringify(bootstrap));
  child = startChild(process.execPath, [OUTRIGGER, 'sidecar', '-c', file, '--log-level', 'warning']);
  await untilReady(child, async () => (await statusOf(admin, '/ready')) === 200);
  expect(await heard(port)).toBe(text);
  expect(dialled).toBe(dials);
  const stats = await (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
  expect(stats.split('\n').filter((line) => line.startsWith('guard.'))).toEqual(counted);
  if (action === 'ALLOW') return;
  const log = join(folder, 'log');
  await until('the log line', () => existsSync(log) && readFileSync(log, 'utf8') !== '');
  expect(readFileSync(log, 'utf8')).toBe('- - rbac_access_denied_matched_policy[every_one] -\n');
});
