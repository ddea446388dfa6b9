// @hot
// The path of a request without query and fragment: the very string that chose its route. Several policies ask for
// it one after the other, so the last one is kept.

let lastPath = '';
let lastPathname = '';

export function pathnameOf(path: string): string {
  if (path === lastPath) return lastPathname;
  let end = path.indexOf('?');
  const fragment = path.indexOf('#');
  if (fragment !== -1 && (end === -1 || fragment < end)) end = fragment;
  lastPath = path;
  lastPathname = end === -1 ? path : path.slice(0, end);
  return lastPathname;
}
