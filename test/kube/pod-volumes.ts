// The volumes of a pod as folders of the host, in tests: ConfigMaps, and projections of tokens, ConfigMaps and fields of the
// pod. Tokens are asked for as a kubelet does, bound to the pod. What is not there yet is waited for.
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listOf, recordOf, textOf, type JsonRecord } from '../../src/kube/json-record.ts';
import { until } from '../support/until.ts';
import type { ApiServer } from './api-server.ts';
import { podField } from './container-env.ts';
import type { Mount } from './container-place.ts';

const WAIT_MS = 20_000;
/** Where none is written: for the API server itself. */
const OWN_AUDIENCE = 'https://kubernetes.default.svc';

export class PodVolumes {
  readonly #kube: ApiServer;
  readonly #pod: JsonRecord;
  readonly #folder: string;

  constructor(kube: ApiServer, pod: JsonRecord, folder: string) {
    this.#kube = kube;
    this.#pod = pod;
    this.#folder = folder;
  }

  /** Throws on a volume that this node does not know. */
  async make(): Promise<void> {
    for (const volume of listOf(recordOf(this.#pod['spec'])['volumes']).map(recordOf)) {
      const folder = join(this.#folder, textOf(volume['name']));
      await mkdir(folder, { recursive: true });
      await chmod(folder, 0o755);
      const sources = volume['configMap'] === undefined ? listOf(recordOf(volume['projected'])['sources']) : [volume];
      if (sources.length === 0) throw new Error(`this node does not know the volume ${textOf(volume['name'])}`);
      for (const source of sources) await this.#write(folder, recordOf(source));
    }
  }

  mountsOf(container: JsonRecord): readonly Mount[] {
    return listOf(container['volumeMounts']).map((entry) => {
      const { name, mountPath } = recordOf(entry);
      return { from: join(this.#folder, textOf(name)), to: textOf(mountPath) };
    });
  }

  async #write(folder: string, source: JsonRecord): Promise<void> {
    const { serviceAccountToken, configMap, downwardAPI } = source;
    const files = new Map<string, string>();
    if (serviceAccountToken !== undefined) {
      const { path, audience } = recordOf(serviceAccountToken);
      files.set(textOf(path), await this.#token(textOf(audience) || OWN_AUDIENCE));
    } else if (configMap !== undefined) {
      for (const [name, text] of await this.#configMap(recordOf(configMap))) files.set(name, text);
    } else {
      for (const item of listOf(recordOf(downwardAPI)['items']).map(recordOf))
        files.set(textOf(item['path']), podField(this.#pod, textOf(recordOf(item['fieldRef'])['fieldPath'])));
    }
    for (const [name, text] of files) await writeFile(join(folder, name), text, { mode: 0o644 });
  }

  async #token(audience: string): Promise<string> {
    const { namespace, name, uid } = recordOf(this.#pod['metadata']);
    const account = `${textOf(namespace)}/${textOf(recordOf(this.#pod['spec'])['serviceAccountName'])}`;
    return await this.#kube.token(account, audience, { name: textOf(name), uid: textOf(uid) });
  }

  async #configMap({ name, items }: JsonRecord): Promise<readonly (readonly [string, string])[]> {
    const path = `/api/v1/namespaces/${textOf(recordOf(this.#pod['metadata'])['namespace'])}/configmaps/${textOf(name)}`;
    const data = await until(
      path,
      async () => {
        const { status, body } = await this.#kube.ask('GET', path);
        return status === 200 ? recordOf(recordOf(body)['data']) : null;
      },
      WAIT_MS,
    );
    if (items === undefined) return Object.entries(data).map(([key, text]) => [key, textOf(text)]);
    return listOf(items)
      .map(recordOf)
      .map((item) => [textOf(item['path']), textOf(data[textOf(item['key'])])]);
  }
}
