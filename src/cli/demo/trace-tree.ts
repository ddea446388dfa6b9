// One trace as a tree of text: who called whom, when it began and how long it took. Pure. A span whose
// parent is missing is drawn as a root of its own and counted as an orphan, so that a broken trace looks broken.
import type { Span } from './span.ts';
import type { Paint } from './table.ts';

export interface TraceTree {
  readonly roots: readonly TraceNode[];
  /** Spans that name a parent which is not there. */
  readonly orphans: number;
  readonly services: readonly string[];
  readonly spans: number;
}

export interface TraceNode {
  readonly span: Span;
  /** In the order in which they began. */
  readonly children: readonly TraceNode[];
}

const BAR_CELLS = 18;
const LABEL_CELLS = 48;
/** The part of a service's full name that every service shares. */
const DOMAIN = /\.[\w-]+\.svc\.[\w.-]+/;

export function growTree(spans: readonly Span[]): TraceTree {
  const ids = new Set(spans.map((span) => span.spanId));
  const byParent = Map.groupBy(spans, (span) => (ids.has(span.parentSpanId) ? span.parentSpanId : ''));
  const grow = (parentSpanId: string): TraceNode[] =>
    (byParent.get(parentSpanId) ?? [])
      .toSorted((a, b) => a.startUs - b.startUs)
      .map((span) => ({ span, children: grow(span.spanId) }));
  return {
    roots: grow(''),
    orphans: spans.filter((span) => span.parentSpanId !== '' && !ids.has(span.parentSpanId)).length,
    services: [...new Set(spans.map((span) => shortName(span.service)))],
    spans: spans.length,
  };
}

/** True when every span hangs under one root, as it does once all sidecars have sent theirs. */
export function isWhole({ roots, orphans }: TraceTree): boolean {
  return roots.length === 1 && orphans === 0;
}

/** `reviews.default` and `reviews` are one service. */
export function shortName(service: string): string {
  return service.split('.')[0] ?? service;
}

export function drawTrace(spans: readonly Span[], paint: Paint): string[] {
  const tree = growTree(spans);
  const startUs = Math.min(...spans.map((span) => span.startUs));
  const endUs = Math.max(...spans.map((span) => span.endUs));
  const traceId = spans[0]?.traceId ?? '';
  const lines = [
    `${paint('bold', 'trace')} ${traceId}  ${tree.services.length} services, ${tree.spans} spans, ${milliseconds(endUs - startUs)}`,
  ];
  const draw = (node: TraceNode, lead: string, branch: string): void => {
    const { span } = node;
    const name = span.name.replace(DOMAIN, '');
    const label = `${lead}${branch}${shortName(span.service)} ${paint('dim', span.kind)} ${name}`;
    const width = `${lead}${branch}${shortName(span.service)} ${span.kind} ${name}`.length;
    const bar = drawBar((span.startUs - startUs) / (endUs - startUs), (span.endUs - startUs) / (endUs - startUs));
    const status = statusOf(span);
    const gap = ' '.repeat(Math.max(1, LABEL_CELLS - width));
    lines.push(`${label}${gap}${paint('cyan', bar)} ${milliseconds(span.endUs - span.startUs).padStart(9)}  ${status}`);
    const inner = branch === '' ? lead : `${lead}${branch === '└ ' ? '  ' : '│ '}`;
    node.children.forEach((child, i) => draw(child, inner, i === node.children.length - 1 ? '└ ' : '├ '));
  };
  for (const root of tree.roots) draw(root, '  ', '');
  return lines;
}

function drawBar(from: number, to: number): string {
  const first = Math.min(Math.floor((Number.isFinite(from) ? from : 0) * BAR_CELLS), BAR_CELLS - 1);
  const last = Math.max(first + 1, Math.round((Number.isFinite(to) ? to : 1) * BAR_CELLS));
  return '·'.repeat(first) + '━'.repeat(last - first) + '·'.repeat(Math.max(0, BAR_CELLS - last));
}

function milliseconds(microseconds: number): string {
  return `${(microseconds / 1000).toFixed(1)} ms`;
}

function statusOf(span: Span): string {
  return span.attributes.get('http.response.status_code') ?? span.attributes.get('http.status_code') ?? '';
}
