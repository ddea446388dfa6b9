// Reads the Prometheus text format (version 0.0.4) as the sidecars write it. Lines that it does not
// understand are skipped: the demo shows what it can, it does not judge an exporter.

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** All samples of a scrape whose metric name begins with `prefix`, in order. */
export function parsePrometheusText(text: string, prefix = ''): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#') || !line.startsWith(prefix)) continue;
    const parts = LINE.exec(line);
    const name = parts?.[1];
    const value = parseValue(parts?.[3] ?? '');
    if (name === undefined || value === null) continue;
    samples.push({ name, labels: parseLabels(parts?.[2] ?? ''), value });
  }
  return samples;
}

function parseValue(text: string): number | null {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  const value = Number(text);
  return text === '' || Number.isNaN(value) ? null : value;
}

function parseLabels(text: string): Map<string, string> {
  const labels = new Map<string, string>();
  for (const [, name, value] of text.matchAll(LABEL)) {
    if (name !== undefined && value !== undefined) labels.set(name, value.replaceAll(/\\(.)/g, unescape));
  }
  return labels;
}

function unescape(_all: string, letter: string): string {
  return letter === 'n' ? '\n' : letter;
}
