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

/** As `pathEnd`, but path parameters (`;a=b`) are left out too. */
export function pathEndBeforeParameters(path: string): number {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === 0x3f || code === 0x23 || code === 0x3b) return i;
  }
  return path.length;
}
