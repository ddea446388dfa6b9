// `/explain`: which virtual host, route, cluster and endpoints a request would take, and which routes it
// passes by. Nothing is sent.
import { text, type AdminEndpoint } from './endpoint.ts';

export const explain: AdminEndpoint = {
  path: '/explain',
  isPostOnly: false,
  help: 'print what a request would meet',
  parameters: [
    ['path', 'path with query, / by default'],
    ['host', 'the Host of the request'],
    ['method', 'GET by default'],
    ['header', 'name:value; may be given more than once'],
    ['listener', 'the name of one listener; all by default'],
  ],
  answer: ({ source, query, pairs }) => {
    const host = query.get('host');
    if (host === undefined) return text('usage: /explain?host=HOST&path=PATH&method=METHOD&header=NAME:VALUE\n', 400);
    const headers: [string, string][] = [];
    for (const [name, value] of pairs) {
      if (name !== 'header') continue;
      const colon = value.indexOf(':');
      if (colon < 1) return text(`header ${value} is not name:value\n`, 400);
      headers.push([value.slice(0, colon), value.slice(colon + 1).trim()]);
    }
    const explained = source.explain({
      host,
      path: query.get('path') ?? '/',
      method: query.get('method') ?? 'GET',
      headers,
      listener: query.get('listener') ?? null,
    });
    if (explained === null) return text('that is not a request that HTTP/1.1 can carry\n', 400);
    return explained === '' ? text('there is no such listener\n', 404) : text(explained);
  },
};
