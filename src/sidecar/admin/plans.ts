// `/plan`: every compiled plan as text, under the route table it belongs to.
import { printPlan } from '../../plan/print.ts';
import { text, type AdminEndpoint } from './endpoint.ts';
import { nameFilter } from './name-filter.ts';

export const plans: AdminEndpoint = {
  path: '/plan',
  isPostOnly: false,
  help: 'print the compiled plans',
  parameters: [['filter', 'RE2 expression for the route names']],
  answer: ({ source, query }) => {
    const filter = nameFilter(query.get('filter'));
    if (filter.kind === 'refused') return filter.answer;
    const lines: string[] = [];
    let table: string | null = null;
    for (const status of source.plans()) {
      if (!filter.accepts(status.plan.route)) continue;
      if (status.table !== table) lines.push(`table ${status.table}\n`);
      ({ table } = status);
      lines.push(printPlan(status.plan));
    }
    return text(lines.join(''));
  },
};
