// The certificate authority of the demo, in a folder of its own that goes with it, and a token for each service by which its
// sidecars join: nobody who runs the demo has to think about certificates, and its sidecars speak mutual TLS.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { formatProblem, type Problem } from '../../base/problem.ts';
import { readMaterial } from '../../control/ca/authority-material.ts';
import { DirectoryStore } from '../../control/ca/directory-store.ts';
import { makeFirstRoot } from '../../control/ca/first-root.ts';
import { JoinTokens, JOIN_LIFETIME_MAX_MS } from '../../control/ca/join-token.ts';

const NAMESPACE = 'default';

export class Identities {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the authority and writes the tokens. Rejects when the temporary folder cannot be written. */
  static async make(services: readonly string[]): Promise<Identities> {
    const identities = new Identities(await mkdtemp(join(tmpdir(), 'outrigger-ca-')));
    try {
      await identities.#write(services);
    } catch (cause) {
      await identities.remove();
      throw cause;
    }
    return identities;
  }

  async #write(services: readonly string[]): Promise<void> {
    const store = new DirectoryStore(this.authorityFolder);
    const nowMs = systemClock.wall();
    await makeFirstRoot(store, 'cluster.local', nowMs);
    const problems: Problem[] = [];
    const material = readMaterial(await store.read(), nowMs, problems);
    if (material === null) throw new Error(problems.map((problem) => formatProblem(problem)).join('; '));
    const roots = material.roots.map(({ x509 }) => x509);
    const tokens = await JoinTokens.open(store);
    tokens.close();
    for (const serviceAccount of services) {
      const grant = { namespace: NAMESPACE, serviceAccount, ttlMs: JOIN_LIFETIME_MAX_MS, roots };
      await writeFile(this.tokenFile(serviceAccount), await tokens.create(grant, nowMs), { mode: 0o600 });
    }
  }

  get authorityFolder(): string {
    return join(this.#folder, 'authority');
  }

  /** Whoever has it may join as this service. */
  tokenFile(service: string): string {
    return join(this.#folder, `${service}.token`);
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
