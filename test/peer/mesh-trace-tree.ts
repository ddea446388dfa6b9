// The spans of one trace, as a real Collector printed them, drawn as lines of text that a test can compare whole:
// two spaces deeper for each parent, siblings sorted, so that the order of arrival does not matter.
import type { SeenSpan } from './otel-collector.ts';

/** `frontend Server reviews 200`: whose sidecar, which side of it, whom the request was for, the status. */
function labelOf({ service, kind, attributes }: SeenSpan): string {
  const host = attributes['server.address'] ?? attributes['http.host'] ?? '?';
  return `${shortName(service)} ${kind} ${shortName(host)} ${attributes['http.response.status_code'] ?? '?'}`;
}

/** `reviews.default` and `reviews` are one service. */
function shortName(name: string): string {
  return name.split('.')[0] ?? name;
}

/** Lines of the tree below the span `rootId`; empty when it has no child. */
export function treeLines(spans: readonly SeenSpan[], rootId: string, depth = 0): readonly string[] {
  return spans
    .filter(({ parentId }) => parentId === rootId)
    .map((span) => [`${'  '.repeat(depth)}${labelOf(span)}`, ...treeLines(spans, span.spanId, depth + 1)])
    .toSorted(([left = ''], [right = '']) => (left < right ? -1 : 1))
    .flat();
}

/** The ids of spans whose parent is neither there nor `outsideId`. */
export function orphansOf(spans: readonly SeenSpan[], outsideId: string): readonly string[] {
  const known = new Set([outsideId, ...spans.map(({ spanId }) => spanId)]);
  return spans.filter(({ parentId }) => !known.has(parentId)).map(({ spanId }) => spanId);
}
