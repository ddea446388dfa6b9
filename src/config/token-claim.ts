// Claims of a request's token where the name of a header may stand: `@request.auth.claims.NAME`, with further names
// behind dots for claims within claims, or `@request.auth.claims[A][B]` for names that have dots themselves.
// Source: istio pilot/pkg/util/protoconv and security docs, "JWT claim based routing".

const PREFIX = '@request.auth.claims';
const DEPTH_MAX = 16;

/** True for everything that is meant as a claim, well written or not. */
export function isClaim(name: string): boolean {
  return name.slice(0, PREFIX.length).toLowerCase() === PREFIX;
}

/** The names that lead to the claim; null when none is named. */
export function readClaimPath(name: string): readonly string[] | null {
  if (!isClaim(name)) return null;
  const rest = name.slice(PREFIX.length);
  const isDotted = rest.startsWith('.');
  const isBracketed = rest.startsWith('[') && rest.endsWith(']');
  if (!isDotted && !isBracketed) return null;
  const path = isDotted ? rest.slice(1).split('.') : rest.slice(1, -1).split('][');
  return path.length > DEPTH_MAX || path.includes('') ? null : path;
}
