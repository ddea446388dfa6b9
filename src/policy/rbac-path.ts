// @hot
// The path of a request without query and fragment: the very string that chose its route. Several policies ask for
// it one after the other, so the last one is kept. For the time of a second judgement it is the path that a server takes
// who cuts the parameters off dot segments (`/x/..;y/admin` is `/admin` to it, and to Envoy).
import { removeDotParameters } from '../http/path.ts';

let lastPath = '';
let lastPathname = '';
let cutsParameters = false;

/** From now on, until it is called with false. */
export function cutParameters(isOn: boolean): void {
  cutsParameters = isOn;
  lastPath = '';
}

export function pathnameOf(path: string): string {
  if (path === lastPath) return lastPathname;
  let end = path.indexOf('?');
  const fragment = path.indexOf('#');
  if (fragment !== -1 && (end === -1 || fragment < end)) end = fragment;
  lastPath = path;
  lastPathname = end === -1 ? path : path.slice(0, end);
  if (cutsParameters) lastPathname = removeDotParameters(lastPathname);
  return lastPathname;
}
