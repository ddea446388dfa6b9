// The control service, with the flags of its Deployment, under exactly the rights that an installation gives it: a token of
// its service account at an API server that enforces RBAC. Nothing that it asks for is forbidden.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild, untilReady } from '../support/child.ts';
import { freePorts } from '../support/free-port.ts';
import { OUTRIGGER } from '../support/real-parts.ts';
import { until } from '../support/until.ts';
import { ApiServer } from './api-server.ts';

let server: ApiServer;
beforeAll(async () => {
  server = await ApiServer.start();
  const flags = ['--yes', '--no-wait', '--kube', join(server.folder, 'kubeconfig')];
  const child = startChild(process.execPath, [OUTRIGGER, 'install', ...flags]);
  if ((await child.exited) !== 0) throw new Error(child.output());
});
afterAll(async () => await server?.stop());

test('the control service gets ready, makes its authority and is trusted, and nothing is forbidden', async () => {
  const files = { token: join(server.folder, 'control-token'), ca: join(server.folder, 'control-ca.pem') };
  const audience = 'https://kubernetes.default.svc';
  await writeFile(files.token, await server.token('outrigger-system/outrigger-control', audience));
  await writeFile(files.ca, server.authority);
  const [xds = 0, http = 0, secure = 0, webhooks = 0] = await freePorts(4);
  const flags = {
    '--kube': server.url,
    '--kube-token-file': files.token,
    '--kube-ca': files.ca,
    '--namespace': 'outrigger-system',
    '--ca-secret': 'outrigger-ca',
    '--xds': `127.0.0.1:${xds}`,
    '--http': `127.0.0.1:${http}`,
    '--secure': `127.0.0.1:${secure}`,
    '--webhooks': `127.0.0.1:${webhooks}`,
    '--trust-domain': 'cluster.local',
    '--settle-ms': '0',
  };
  const child = startChild(process.execPath, [OUTRIGGER, 'control', ...Object.entries(flags).flat()]);
  await untilReady(child, async () => await isReady(`http://127.0.0.1:${http}/ready`), 60_000);
  await until('the webhooks are trusted', () => child.stderr().includes('outrigger-validator'), 30_000);
  await child.stop();
  expect(child.output().match(/[^\n]*forbidden[^\n]*/gi) ?? []).toEqual([]);
});

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
