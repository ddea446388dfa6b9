// The work of `outrigger inject`: reads all files, writes one result when there is no error in any, and says on
// standard error what was left alone and why.
import { readFile, writeFile } from 'node:fs/promises';
import { buffer as readAll } from 'node:stream/consumers';
import { formatProblem, refuses } from '../base/problem.ts';
import { MESH_MODES } from '../control/mesh-node.ts';
import { inject, uninject } from './inject/injection.ts';
import type { Injected, InjectOptions } from './inject/injection.ts';
import type { InjectFlags } from './inject.ts';

const FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_DATA = 65;

export async function runInject(flags: InjectFlags): Promise<number> {
  const mode = MESH_MODES.find((known) => known === flags.mode);
  const mistakes: string[] = [];
  if (flags.filename.length === 0) mistakes.push('-f FILE is missing; - is standard input');
  if (mode === undefined) mistakes.push(`"${flags.mode}" is not a mode; write ${MESH_MODES.join(' or ')}`);
  if (!/^(?:\[[0-9a-f:.]+\]|[^\s:[\]]+):\d{1,5}$/i.test(flags.control))
    mistakes.push(`--control: "${flags.control}" is not HOST:PORT`);
  if (mode === undefined || mistakes.length > 0) {
    for (const mistake of mistakes) say(`outrigger inject: ${mistake}`);
    return EXIT_USAGE;
  }
  const { control, image } = flags;
  const options: InjectOptions = { control, image, mode, isClassic: flags.classic === true };
  const results: Injected[] = [];
  for (const file of flags.filename) {
    const text = await readText(file);
    if (text === null) return FAILED;
    const name = file === '-' ? 'standard input' : file;
    results.push(flags.uninject === true ? uninject(name, text) : inject(name, text, options));
  }
  const problems = results.flatMap((result) => result.problems);
  for (const problem of problems) say(`${problem.severity}: ${formatProblem(problem)}`);
  if (refuses(problems)) return EXIT_DATA;
  return write(joined(results.map((result) => result.text)), flags.output);
}

/** One stream: files after the first begin with a document marker unless they have their own. */
function joined(texts: readonly string[]): string {
  return texts.reduce((before, text) => {
    const lineEnd = before === '' || before.endsWith('\n') ? '' : '\n';
    return `${before}${lineEnd}${text.startsWith('---') ? '' : '---\n'}${text}`;
  });
}

async function readText(file: string): Promise<string | null> {
  try {
    const bytes = file === '-' ? await readAll(process.stdin) : await readFile(file);
    // Every byte must come back: a mark at the beginning stays, and what is no UTF-8 is refused.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    say(`outrigger inject: cannot read ${file}: ${messageOf(cause)}`);
    return null;
  }
}

async function write(text: string, output: string | undefined): Promise<number> {
  if (output === undefined || output === '-') {
    // Whoever reads may have seen enough.
    process.stdout.on('error', () => {});
    process.stdout.write(text);
    return 0;
  }
  try {
    await writeFile(output, text);
    return 0;
  } catch (cause) {
    say(`outrigger inject: cannot write ${output}: ${messageOf(cause)}`);
    return FAILED;
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
