// Every difference between our sidecar and Envoy that is meant, with its reason. The comparison fails
// on a difference that is not listed here, and on an entry that no case needs any more.

export interface AllowedDifference {
  /** Matches `bootstrap: case name`. */
  readonly where: RegExp;
  /** Matches the field, for example `response.header.server`. */
  readonly what: RegExp;
  /** What each side must show for the entry to apply; `<none>` when the field is absent. Any, when left out. */
  readonly envoy?: RegExp;
  readonly outrigger?: RegExp;
  readonly reason: string;
}

const ANY = /^/;

export const ALLOWED_DIFFERENCES: readonly AllowedDifference[] = [
  {
    where: ANY,
    what: /^response\d*\.header\.x-outrigger-error$/,
    envoy: /^<none>$/,
    reason: 'A response made by the proxy itself says which flag and which resource decided (INTERFACES.md).',
  },
];
