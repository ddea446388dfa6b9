// The cluster that the commands of an installation work on: a client for what `--kube` says, checked by asking for its
// version, so that a wrong address or a missing login is told before anything else.
import { KubeClient } from '../../kube/client.ts';
import { givenAccess } from '../../kube/given-access.ts';
import { recordOf, textOf } from '../../kube/json-record.ts';
import { formatFailure } from '../../kube/kube-answer.ts';

export interface ClusterFlags {
  readonly kube: string;
  readonly context: string;
}

export interface Cluster {
  readonly client: KubeClient;
  readonly version: string;
}

const MINOR_MIN = 29;

/** A text says why there is none. */
export async function openCluster({ kube, context }: ClusterFlags): Promise<Cluster | string> {
  const access = await givenAccess({ server: kube, context });
  if (typeof access === 'string') return access;
  const client = new KubeClient({ access, userAgent: 'outrigger-cli', onWarning: () => {} });
  const answer = await client.call({ method: 'GET', path: '/version' });
  if (answer.kind === 'failed') {
    await client.close();
    return `the API server at ${access.url} does not answer: ${formatFailure(answer.failure)}`;
  }
  const version = textOf(recordOf(answer.value)['gitVersion']);
  const minor = Number.parseInt(textOf(recordOf(answer.value)['minor']), 10);
  if (minor < MINOR_MIN) {
    await client.close();
    return `the cluster is ${version}: at least v1.${MINOR_MIN} is needed`;
  }
  return { client, version };
}
