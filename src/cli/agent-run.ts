// Runs the agent until it is told to end. Exit codes: 0 when told to end, 1 when it cannot serve, 64 for wrong usage.
import { hostname } from 'node:os';
import { systemClock } from '../base/clock.ts';
import { createLog, type Log } from '../base/log.ts';
import { Registry } from '../observe/registry.ts';
import { DiscoveryClient, type ControlAddress } from '../sidecar/discovery.ts';
import type { Identity } from '../sidecar/identity.ts';
import { agentNodeOf } from '../sidecar/node.ts';
import { ADS, SecretStore } from '../sidecar/secrets.ts';
import { SdsServer, serveIdentity } from '../sidecar/sds-server.ts';
import { ownAddress } from '../sidecar/join.ts';
import type { Node } from '../xds/gen/envoy/config/core/v3/base_pb.js';
import { SECRET_TYPE } from '../xds/type-url.ts';
import type { AgentFlags } from './agent.ts';
import { FlagReader } from './flag-reader.ts';
import { readIdentity } from './identity-flags.ts';
import { makeIdentity } from './workload-identity.ts';

const DONE = 0;
const FAILED = 1;
const USAGE = 64;

export async function runAgent(flags: AgentFlags): Promise<number> {
  const mistakes: string[] = [];
  const reader = new FlagReader(flags, mistakes);
  const control = reader.control();
  const settings = readIdentity(reader, control);
  const path = reader.path('sds') ?? '';
  const mode = reader.socketMode('sdsMode');
  const logLevel = reader.level();
  if (settings === null) mistakes.push('--token-file FILE is missing: there is no identity without one');
  if (settings === null || mistakes.length > 0) {
    for (const mistake of mistakes) process.stderr.write(`outrigger agent: ${mistake}\n`);
    return USAGE;
  }
  const log = createLog('agent', logLevel);
  const [service = '', namespace = 'default'] = reader.text('service').split('.', 2);
  const server = new SdsServer({ log: log.child('sds'), mode });
  try {
    await server.listen(path);
  } catch (cause) {
    log.error('cannot listen', { path, error: cause instanceof Error ? cause.message : String(cause) });
    return FAILED;
  }
  const { identity, serviceAccount } = await makeIdentity(
    settings,
    control,
    { namespace, serviceAccount: 'default' },
    log,
  );
  const secrets = new SecretStore(log.child('secret'));
  serveIdentity(secrets, server);
  identity.start(secrets, new Registry());
  const ending = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.resolve());
  const instance = `${hostname()}-${process.pid}`;
  const node = agentNodeOf({ service, namespace, address: await ownAddress(control), serviceAccount, instance });
  // Roots that change reach us by the stream that a sidecar has, too.
  const following = identity.first.then(() => followRoots(identity, secrets, { control, node, log: log.child('xds') }));
  await ending.promise;
  if (identity.issued !== null) (await following).close();
  identity.close();
  server.close();
  log.info('stopped');
  return DONE;
}

interface Following {
  readonly control: ControlAddress;
  readonly node: Node;
  readonly log: Log;
}

function followRoots({ access }: Identity, secrets: SecretStore, { control, node, log }: Following): DiscoveryClient {
  const client = new DiscoveryClient({
    control: [control],
    node,
    access,
    log,
    clock: systemClock,
    onUpdate: (update) => secrets.apply(ADS, update),
    onState: (state) => log.info(`control service ${state}`),
  });
  client.subscribe(SECRET_TYPE, secrets.names(ADS));
  return client;
}
