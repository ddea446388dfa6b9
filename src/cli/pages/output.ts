// The machine-readable forms in which commands print: JSON and YAML have the same.
import { stringify } from 'yaml';

export type DataOutput = 'json' | 'yaml';
export type Output = 'table' | DataOutput;

export function isOutput(text: string): text is Output {
  return text === 'table' || text === 'json' || text === 'yaml';
}

/** On standard output. */
export function printData(value: unknown, output: DataOutput): void {
  process.stdout.write(output === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value));
}
