// Every routing case, answered by the compiled table as Envoy answers it.
import { describe, expect, test } from 'vitest';
import { HEADER_CASES, HOST_CASES, PATH_CASES, QUERY_CASES } from './match-cases.ts';
import { DIRECT_CASES, EDIT_CASES, NO_CLUSTER_CASES, REDIRECT_CASES } from './reply-cases.ts';
import { compileTable, replyTo } from './routing-table.ts';

const GROUPS = {
  'virtual hosts': HOST_CASES,
  paths: PATH_CASES,
  headers: HEADER_CASES,
  'query parameters': QUERY_CASES,
  redirects: REDIRECT_CASES,
  'direct responses': DIRECT_CASES,
  'header edits': EDIT_CASES,
  'missing clusters': NO_CLUSTER_CASES,
};

for (const [group, cases] of Object.entries(GROUPS)) {
  describe(group, () => {
    test.each(cases)('$name', ({ config, requests }) => {
      const { table, problems } = compileTable(config);
      expect(problems).toEqual([]);
      const replies = requests.map(([request]) => [request, table === null ? '' : replyTo(table, request)]);
      expect(replies).toEqual(requests);
    });
  });
}
