// Whether rules are with all sidecars, as their status in a cluster tells: the object there says what the file says, and the
// leading control service has written `Programmed` for that very generation.
import { parseObject } from '../../config/parse.ts';
import { createLog } from '../../base/log.ts';
import { fingerprintOf } from '../../config/fingerprint.ts';
import { resourceKey, type Resource } from '../../config/resource.ts';
import { shownObject } from '../../control/kubernetes/object-text.ts';
import { watchedKinds } from '../../control/kubernetes/watched-kinds.ts';
import type { KubeClient } from '../../kube/client.ts';
import { listOf, numberOf, recordOf, textOf } from '../../kube/json-record.ts';
import { formatFailure } from '../../kube/kube-answer.ts';
import { clusterOf, type KubeFlags } from '../kube-flags.ts';
import type { Lookup } from './page-distribution.ts';

/** A text says what is wrong with the flags, or which kinds have no status to wait for. */
export async function distributionOnCluster(
  { kube, kubeTokenFile, kubeCa }: KubeFlags,
  resources: readonly Resource[],
): Promise<Lookup | string> {
  const flags = { ...(kube === undefined ? {} : { kube }), ...(kubeTokenFile === undefined ? {} : { kubeTokenFile }) };
  const log = createLog('wait', 'warning');
  const cluster = await clusterOf({ ...flags, ...(kubeCa === undefined ? {} : { kubeCa }) }, 'outrigger-cli', log);
  if (cluster === null) return '--kube is needed';
  if (typeof cluster === 'string') return cluster;
  const { client } = cluster;
  return {
    close: async () => await client.close(),
    async missing() {
      const lines: string[] = [];
      for (const resource of resources) {
        const line = await missingOf(client, resource);
        if (line !== '') lines.push(line);
      }
      return lines;
    },
  };
}

async function missingOf(client: KubeClient, resource: Resource): Promise<string> {
  const key = resourceKey(resource.kind, resource.meta);
  const known = watchedKinds('').find(({ kind, isRule }) => isRule && kind.kind === resource.kind);
  // Services and their like are no rules, and nobody writes a status on them.
  if (known === undefined) return '';
  const answer = await client.get(known.kind, resource.meta);
  if (answer.kind === 'failed') return `${key}: ${formatFailure(answer.failure)}`;
  const object = answer.value;
  const [live] = parseObject(key, shownObject(object)).resources;
  // Metadata is completed by whoever handles an object, and is no part of its generation.
  const isSame = live !== undefined && fingerprintOf({ ...live, meta: resource.meta }) === fingerprintOf(resource);
  if (!isSame) return `${key} says something else there`;
  const conditions = listOf(recordOf(object['status'])['conditions']).map(recordOf);
  const programmed = conditions.find(({ type }) => type === 'Programmed');
  if (programmed === undefined) return `${key}: nobody has written its status`;
  if (numberOf(programmed['observedGeneration']) !== object.metadata.generation)
    return `${key}: its status is of another generation`;
  return programmed['status'] === 'True' ? '' : `${key}: ${textOf(programmed['message'])}`;
}
