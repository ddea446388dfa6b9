// Asks a person before something is changed. Without a terminal nobody can be asked, and nothing is agreed to: scripts
// say `--yes`.
import { createInterface } from 'node:readline/promises';

export async function isAgreed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    process.stderr.write('there is no terminal to ask at: say --yes\n');
    return false;
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
