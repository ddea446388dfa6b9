// An authority that has nothing yet gets a root of its own. Of several that start at the same moment one makes it, and
// the others use it. Where some of the files are there, nothing is made: somebody forgot one, and must hear of it.
import {
  AUTHORITY_NAMES,
  CHAIN,
  ROOTS,
  SIGNER_CERTIFICATE,
  SIGNER_KEY,
  type AuthorityFiles,
  type AuthorityStore,
} from './authority-files.ts';
import { makeRoot } from './root-certificate.ts';

/** `trustDomain` stands in the root's subject. Rejects when the place cannot be written. */
export async function makeFirstRoot(store: AuthorityStore, trustDomain: string, nowMs: number): Promise<void> {
  const there = await store.read().catch(() => null);
  if (there !== null && !isEmpty(there)) return;
  await store.update(async (files) => {
    // Another replica was faster: its root is the mesh's.
    if (!isEmpty(files)) return null;
    const { certificate, key } = await makeRoot(trustDomain, nowMs);
    return new Map([
      [SIGNER_CERTIFICATE, certificate],
      [SIGNER_KEY, key],
      [ROOTS, certificate],
      [CHAIN, ''],
    ]);
  });
}

function isEmpty(files: AuthorityFiles): boolean {
  return !AUTHORITY_NAMES.some((name) => files.has(name));
}
