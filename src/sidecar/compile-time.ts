// A bound on the time that code of somebody else may take while a configuration is compiled: it is interrupted like any
// script of node:vm, and that is an error like any other. Not for requests: each bound costs a thread.
import { Script } from 'node:vm';

/** What is loaded and compiled once, on a busy machine. */
const COMPILE_MS_MAX = 5000;

let script: Script | null = null;

/** What `run` returns; throws what it throws, or that it took longer than five seconds. */
export function withinTime<T>(run: () => T, timeoutMs = COMPILE_MS_MAX): T {
  const results: { readonly value: T }[] = [];
  script ??= new Script('run()');
  try {
    script.runInNewContext({ run: () => void results.push({ value: run() }) }, { timeout: timeoutMs });
  } catch (cause) {
    // It comes from another realm, and is no Error here.
    if (isTimeout(cause)) throw new Error(`it did not end within ${timeoutMs} ms`, { cause });
    throw cause;
  }
  const [result] = results;
  if (result === undefined) throw new Error('it did not end');
  return result.value;
}

function isTimeout(cause: unknown): boolean {
  return (
    typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
  );
}
