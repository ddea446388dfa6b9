// `/`, an index for people, and `/help`, the same as text.
import { text, type AdminEndpoint } from './endpoint.ts';

/** Makes both from the list of all endpoints, these two included. */
export function homeEndpoints(others: readonly AdminEndpoint[]): readonly AdminEndpoint[] {
  const all = (): readonly AdminEndpoint[] =>
    [home, help, ...others].toSorted((left, right) => (left.path < right.path ? -1 : 1));
  const home: AdminEndpoint = {
    path: '/',
    isPostOnly: false,
    help: 'Admin home page',
    parameters: [],
    answer: () => ({ status: 200, contentType: 'text/html; charset=UTF-8', body: writePage(all()) }),
  };
  const help: AdminEndpoint = {
    path: '/help',
    isPostOnly: false,
    help: 'print out list of admin commands',
    parameters: [],
    answer: () => text(listCommands(all())),
  };
  return [home, help];
}

export function listCommands(endpoints: readonly AdminEndpoint[]): string {
  const lines = ['admin commands are:'];
  for (const { path, isPostOnly, help, parameters } of endpoints) {
    lines.push(`  ${path}${isPostOnly ? ' (POST)' : ''}: ${help}`);
    for (const [name, meaning] of parameters) lines.push(`      ${name}: ${meaning}`);
  }
  return `${lines.join('\n')}\n`;
}

function writePage(endpoints: readonly AdminEndpoint[]): string {
  const rows = endpoints.map(({ path, isPostOnly, help }) => {
    const link = isPostOnly
      ? `<form action="${path.slice(1)}" method="post"><button>${path}</button></form>`
      : `<a href="${path === '/' ? '.' : path.slice(1)}">${path}</a>`;
    return `<tr><td>${link}</td><td>${escapeHtml(help)}</td></tr>`;
  });
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Outrigger sidecar</title>
<style>body{font:16px sans-serif;margin:2em}td{padding:4px 16px 4px 0}form{margin:0}</style></head>
<body><h1>Outrigger sidecar</h1>
<table>
${rows.join('\n')}
</table></body>
</html>
`;
}

function escapeHtml(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
