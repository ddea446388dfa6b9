// A process that wants to lead: `elector-process.ts KUBECONFIG IDENTITY LEASE_MS`. It says on standard output when it
// starts and stops, and gives the duty back when it is asked to end.
import { systemClock } from '../../src/base/clock.ts';
import { createLog } from '../../src/base/log.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { kubeconfigAccess } from '../../src/kube/kubeconfig.ts';
import { LeaseElector } from '../../src/kube/lease-elector.ts';

const [path = '', identity = '', leaseMs = '15000'] = process.argv.slice(2);
const access = await kubeconfigAccess({ path });
if (typeof access === 'string') throw new Error(access);
const client = new KubeClient({ access });
const elector = new LeaseElector({
  client,
  lease: { namespace: 'default', name: 'leader' },
  identity,
  onStarted: () => console.log('started'),
  onStopped: () => console.log('stopped'),
  log: createLog('elector'),
  clock: systemClock,
  timing: { leaseMs: Number(leaseMs), renewMs: (Number(leaseMs) * 2) / 3, retryMs: Number(leaseMs) / 7.5 },
});
elector.start();
process.once('SIGTERM', () => {
  void elector.stop().then(async () => await client.close());
});
