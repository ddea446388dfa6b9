// Preloaded into every process that the demo starts (`node --import`): its standard input is a pipe that
// only the demo holds. When the pipe ends, the demo is gone, however it went, and the process ends too.
import { isMainThread } from 'node:worker_threads';

const GRACE_MS = 3_000;

if (isMainThread) {
  const { stdin } = process;
  stdin.on('end', () => {
    setTimeout(() => process.exit(1), GRACE_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  stdin.on('error', () => {});
  stdin.resume();
  // Watching must not keep a process alive that is otherwise done.
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
}
