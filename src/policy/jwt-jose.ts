// One signature checked by `jose`, in the thread pool, with the algorithm pinned to the one that the caller found fit for
// the key. `jose` is loaded when the first configuration asks for tokens, never at start-up without. The answer is a
// boolean: nothing rejects, whatever comes in.
import type { KeyObject } from 'node:crypto';

type Jose = typeof import('jose');

let loading: Promise<Jose> | null = null;

/** Loads the library; to call it again costs nothing. */
export function loadJose(): Promise<Jose> {
  loading ??= import('jose');
  return loading;
}

/** True when `key` has signed `text`, a compact token, by `alg`. */
export async function isSignedBy(text: string, alg: string, key: KeyObject): Promise<boolean> {
  try {
    const jose = await loadJose();
    await jose.compactVerify(text, key, { algorithms: [alg] });
    return true;
  } catch {
    // A signature that the library cannot even read is a wrong one.
    return false;
  }
}
