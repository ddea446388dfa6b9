// The entry of the watchdog's thread. It looks after the main thread: an extension's step that never ends is interrupted by
// the inspector of this very process (no port is opened), which unwinds everything that stands on the main thread's
// stack; the main thread is told, and goes on without the extension. What cannot be interrupted (a call of the system
// that blocks, a timer's callback) ends the process, so that it is started again. Its lines go straight to the log's
// descriptor: the main thread, which writes for all, hangs.
import { writeSync } from 'node:fs';
import { Session } from 'node:inspector';
import { parentPort, workerData } from 'node:worker_threads';
import { createLog } from '../base/log.ts';
import { LOOK_MS, StuckLook, type Stuck, type WatchedExtension } from './stuck-extension.ts';

/** After it was interrupted it must be gone by so much later. */
const END_MS = 2000;
const STDERR = 2;

if (workerData instanceof SharedArrayBuffer) watch(workerData);

function watch(memory: SharedArrayBuffer): void {
  const look = new StuckLook(memory);
  const log = createLog('extension', 'info', (line) => writeSync(STDERR, line));
  let interruptedAtMs = -1;
  parentPort?.on('message', (extension: WatchedExtension) => look.add(extension));
  setInterval(() => {
    const stuck = look.look();
    if (stuck === null) interruptedAtMs = -1;
    else if (interruptedAtMs < 0) {
      interruptedAtMs = stuck.forMs;
      log.error('an extension is stuck in a step that does not end, and is interrupted', fieldsOf(stuck));
      interrupt(stuck.extension.number);
    } else if (stuck.forMs >= interruptedAtMs + END_MS) {
      log.error('the step of an extension cannot be interrupted: the process ends', fieldsOf(stuck));
      process.kill(process.pid, 'SIGKILL');
    }
  }, LOOK_MS);
}

function fieldsOf({ extension, forMs }: Stuck): Record<string, string | number> {
  const { name, module, failurePolicy } = extension;
  return { extension: name, module, failurePolicy, stuckMs: forMs };
}

/** The main thread is told when its stack is gone. */
function interrupt(number: number): void {
  const session = new Session();
  session.connectToMainThread();
  session.post('Runtime.terminateExecution', () => {
    session.disconnect();
    parentPort?.postMessage(number, []);
  });
}
