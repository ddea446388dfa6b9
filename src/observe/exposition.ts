// Renders a Registry as Prometheus text 0.0.4 or OpenMetrics 1.0, by the escaping rules of each:
// help escapes backslash and line feed (OpenMetrics: the quote too), label values escape all three.
// Empty families are left out. Sources that count by themselves come after the registry's families.
import type { Family, FamilyKind, Registry, ScrapeSink, Series } from './registry.ts';

export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const OPENMETRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** OpenMetrics when the `accept` header names it before or without plain text, else Prometheus text. */
export function renderMetrics(registry: Registry, accept = ''): Exposition {
  return prefersOpenMetrics(accept)
    ? { contentType: OPENMETRICS_TYPE, body: renderOpenMetrics(registry) }
    : { contentType: PROMETHEUS_TYPE, body: renderPrometheus(registry) };
}

/** Prometheus text format 0.0.4. */
export function renderPrometheus(registry: Registry): string {
  const lines: string[] = [];
  render(registry, new Writer(lines, false));
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** OpenMetrics 1.0 text, ended by `# EOF`. */
export function renderOpenMetrics(registry: Registry): string {
  const lines: string[] = [];
  render(registry, new Writer(lines, true));
  lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

function prefersOpenMetrics(accept: string): boolean {
  let best = { isOpenMetrics: false, quality: 0 };
  for (const entry of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = entry.split(';').map((part) => part.trim());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = q === undefined ? 1 : Number.parseFloat(q.slice(2)) || 0;
    if (quality > best.quality) best = { isOpenMetrics: type === 'application/openmetrics-text', quality };
  }
  return best.isOpenMetrics;
}

function render(registry: Registry, writer: Writer): void {
  for (const family of registry.families.values()) {
    if (family.series.size === 0) continue;
    writer.family(family.name, family.kind, family.help);
    for (const series of family.series.values()) {
      if (family.kind === 'histogram') writeHistogram(writer, registry, family, series);
      else writer.sample(family.labelNames, series.labels, registry.get(series.slot));
    }
  }
  for (const source of registry.sources) source(writer);
}

function writeHistogram(writer: Writer, registry: Registry, family: Family, series: Series): void {
  const { bounds } = family;
  const labels = labelText(family.labelNames, series.labels);
  const comma = labels === '' ? '' : ',';
  let count = 0;
  for (let i = 0; i <= bounds.length; i++) {
    count += registry.get(series.slot + i);
    const le = i === bounds.length ? '+Inf' : writer.bound(bounds[i] ?? 0);
    writer.line('_bucket', `${labels}${comma}le="${le}"`, count);
  }
  writer.line('_sum', labels, registry.get(series.slot + bounds.length + 1));
  writer.line('_count', labels, count);
}

class Writer implements ScrapeSink {
  readonly #lines: string[];
  readonly #isOpenMetrics: boolean;
  #name = '';

  constructor(lines: string[], isOpenMetrics: boolean) {
    this.#lines = lines;
    this.#isOpenMetrics = isOpenMetrics;
  }

  family(name: string, kind: FamilyKind, help: string): void {
    this.#name = name;
    // OpenMetrics names a counter without the `_total` that its samples carry.
    const title = this.#isOpenMetrics && kind === 'counter' ? name.replace(/_total$/, '') : name;
    if (help !== '') this.#lines.push(`# HELP ${title} ${this.#help(help)}`);
    this.#lines.push(`# TYPE ${title} ${kind}`);
    if (this.#isOpenMetrics && kind === 'counter') this.#name = `${title}_total`;
  }

  sample(labelNames: readonly string[], labels: readonly string[], value: number): void {
    this.line('', labelText(labelNames, labels), value);
  }

  line(suffix: string, labels: string, value: number): void {
    const braces = labels === '' ? '' : `{${labels}}`;
    this.#lines.push(`${this.#name}${suffix}${braces} ${numberText(value)}`);
  }

  /** OpenMetrics wants `le` in canonical form: 5.0, not 5. */
  bound(bound: number): string {
    return this.#isOpenMetrics && Number.isInteger(bound) ? `${bound}.0` : numberText(bound);
  }

  #help(help: string): string {
    const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    return this.#isOpenMetrics ? escaped.replaceAll('"', '\\"') : escaped;
  }
}

function labelText(names: readonly string[], values: readonly string[]): string {
  let text = '';
  for (let i = 0; i < names.length; i++) {
    text += `${i === 0 ? '' : ','}${names[i] ?? ''}="${escapeLabel(values[i] ?? '')}"`;
  }
  return text;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}
