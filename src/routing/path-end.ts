// @hot
// Where the path of a request target ends: matching and rewriting see neither query nor fragment.

/** The offset of the first `?` or `#`, or the length. */
export function pathEnd(path: string): number {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === 0x3f || code === 0x23) return i;
  }
  return path.length;
}

/** `path[0, end)` without the path parameters (`;a=b`) of its segments; the same string when it has none. */
export function withoutParameters(path: string, end: number): string {
  let semicolon = path.indexOf(';');
  if (semicolon === -1 || semicolon >= end) return path;
  let kept = '';
  let at = 0;
  while (semicolon !== -1 && semicolon < end) {
    kept += path.slice(at, semicolon);
    const slash = path.indexOf('/', semicolon);
    at = slash === -1 || slash > end ? end : slash;
    semicolon = path.indexOf(';', at);
  }
  return kept + path.slice(at, end);
}
