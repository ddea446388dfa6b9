// `/stats` and `/stats/prometheus`: counters and gauges under Envoy's dotted names as text or JSON,
// and everything as Prometheus text.
import { json, text, type AdminAnswer, type AdminEndpoint, type AdminRequest } from './endpoint.ts';
import { nameFilter } from './name-filter.ts';

export const stats: AdminEndpoint = {
  path: '/stats',
  isPostOnly: false,
  help: 'print server stats',
  parameters: [
    ['usedonly', 'only stats that are not zero'],
    ['filter', 'RE2 expression for the names'],
    ['format', 'one of (text, json, prometheus)'],
  ],
  answer: (request) => {
    const { source, query } = request;
    const format = query.get('format') ?? 'text';
    if (format === 'prometheus') return prometheusAnswer(request);
    if (format !== 'text' && format !== 'json') return text('usage: /stats?format=text|json|prometheus\n', 400);
    const filter = nameFilter(query.get('filter'));
    if (filter.kind === 'refused') return filter.answer;
    const usedOnly = query.has('usedonly');
    const chosen = [...source.stats()]
      .filter(([name, value]) => filter.accepts(name) && !(usedOnly && value === 0))
      .toSorted(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
    if (format === 'text') return text(chosen.map(([name, value]) => `${name}: ${value}\n`).join(''));
    const written = json({ stats: chosen.map(([name, value]) => ({ name, value })) });
    return { ...written, body: JSON.stringify({ stats: chosen.map(([name, value]) => ({ name, value })) }) };
  },
};

export const prometheus: AdminEndpoint = {
  path: '/stats/prometheus',
  isPostOnly: false,
  help: 'print server stats in prometheus format',
  parameters: [
    ['usedonly', 'only samples that are not zero'],
    ['filter', 'RE2 expression for the metric names and labels'],
  ],
  answer: prometheusAnswer,
};

export function prometheusAnswer({ source, query, accept }: AdminRequest): AdminAnswer {
  const filter = nameFilter(query.get('filter'));
  if (filter.kind === 'refused') return filter.answer;
  const { contentType, body } = source.prometheus(accept);
  const usedOnly = query.has('usedonly');
  if (!usedOnly && !query.has('filter')) return { status: 200, contentType, body };
  const isKept = (sample: string): boolean => filter.accepts(sample) && !(usedOnly && sample.endsWith(' 0'));
  return { status: 200, contentType, body: filterSamples(body, isKept) };
}

/** Drops samples, and the comments above families that have none left. */
function filterSamples(body: string, isKept: (sample: string) => boolean): string {
  const kept: string[] = [];
  let comments: string[] = [];
  for (const line of body.split('\n')) {
    if (line === '') continue;
    if (line === '# EOF') {
      kept.push(line);
    } else if (line.startsWith('#')) {
      // A comment is `# TYPE name …`: one of another family begins anew.
      if (familyOf(line) !== familyOf(comments[0] ?? '')) comments = [];
      comments.push(line);
    } else if (isKept(line)) {
      kept.push(...comments, line);
      comments = [];
    }
  }
  return kept.length === 0 ? '' : `${kept.join('\n')}\n`;
}

function familyOf(comment: string): string {
  return comment.split(' ')[2] ?? '';
}
