// Our own sidecar takes everything that the translation makes for it, without a warning: each golden case as a static
// bootstrap. What is written for users, and is not followed, has to be said where it is written and not here.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { offlineNode, staticBootstrap, translateFiles } from '../../../src/control/offline.ts';
import { parseBootstrap } from '../../../src/sidecar/bootstrap.ts';
import type { CompileContext } from '../../../src/sidecar/compile.ts';
import { compileBootstrap, secretOriginOf } from '../../../src/sidecar/compile-bootstrap.ts';
import { SecretStore } from '../../../src/sidecar/secrets.ts';
import type { Bootstrap } from '../../../src/xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { aContext } from '../../unit/sidecar/manager-builders.ts';

const HERE = import.meta.dirname;
const shop = readFileSync(join(HERE, '_shop.yaml'), 'utf8');
const cases = readdirSync(HERE).filter(
  (name) => name.endsWith('.yaml') && !name.startsWith('_') && !name.startsWith('problems-'),
);
const runs = cases.flatMap((name) => (['explicit', 'redirect'] as const).map((mode) => ({ name, mode })));

/** What a sidecar says of every mesh, and what the rules of these cases ask for and `outrigger check` warns of. */
const EXPECTED = [
  'ipv4_compat: has no effect',
  'load_assignment: the cluster has no endpoints',
  'trace_sampled: has no effect',
  'upstream_connection_options: has no effect',
  'common_tls_context: a server with any name is taken',
  'stat_prefix: has no effect yet',
];

/** With an identity of its own, which the cluster `sds-grpc` then stands for. */
function contextOf(bootstrap: Bootstrap): CompileContext {
  const secrets = new SecretStore(silentLog, secretOriginOf(bootstrap, true));
  return { ...aContext(), secrets, grpcClusters: new Set(['sds-grpc']) };
}

test.each(runs)('a sidecar takes what $name becomes in $mode mode', ({ name, mode }) => {
  const [input = ''] = readFileSync(join(HERE, name), 'utf8').split(`#${'='.repeat(40)}\n`);
  const text = input.replaceAll('/etc/ca.pem', '/etc/ssl/certs/ca-certificates.crt');
  const files = [{ file: name, text }, ...(input.includes('# base: none') ? [] : [{ file: '_shop.yaml', text: shop }])];
  const namespace = /^# for: [^ .]+\.(\S+)/m.exec(input)?.[1] ?? 'default';
  const node = offlineNode({
    service: `frontend.${namespace}`,
    version: 'v1',
    apps: ['9080/http', '7000/tcp'],
    isEnvoy: false,
    mode,
    address: mode === 'redirect' ? '10.0.0.1,fd00::1' : '127.0.0.1',
    isMeshed: /^# meshed: true$/m.test(input),
  });
  if (typeof node === 'string') throw new Error(node);
  const { bootstrap, problems } = parseBootstrap(
    JSON.stringify(staticBootstrap(translateFiles(files).viewOf(node))),
    name,
  );
  const found = bootstrap === null ? problems : compileBootstrap(bootstrap, contextOf(bootstrap)).problems;
  const lines = found.map((problem) => `${problem.severity}: ${formatProblem(problem)}`);
  expect(lines.filter((line) => !EXPECTED.some((known) => line.includes(known)))).toEqual([]);
});
