// Matches the names of a peer's certificate as Envoy does (CertificateValidationContext): one matcher that
// accepts one name is enough. A DNS name of the certificate may be a wildcard, which an exact matcher
// expands (RFC 6125 section 6.4.3: the whole leftmost label, and no more); all else is compared as text.
import { isIP } from 'node:net';
import type { AlternativeNames, NameKind } from './alternative-names.ts';

export interface NameMatcher {
  /** Null is Envoy's old `match_subject_alt_names`: DNS, URI and IP names alike. */
  readonly kind: NameKind | null;
  /** The exact text; null when the matcher is of another kind. */
  readonly exact: string | null;
  readonly matches: (name: string) => boolean;
}

const ANY_KIND: readonly NameKind[] = ['dns', 'uri', 'ip', 'email'];

export function matchesNames(names: AlternativeNames, matchers: readonly NameMatcher[]): boolean {
  return matchers.some((matcher) => {
    const kinds = matcher.kind === null ? ANY_KIND : [matcher.kind];
    return kinds.some((kind) =>
      names[kind].some((name) =>
        kind === 'dns' && matcher.exact !== null ? matchesDnsName(matcher.exact, name) : matcher.matches(name),
      ),
    );
  });
}

/** Whether a DNS name of a certificate, perhaps `*.rest`, stands for `host`. Letter case does not count. */
export function matchesDnsName(host: string, pattern: string): boolean {
  const wanted = host.toLowerCase();
  const name = pattern.toLowerCase();
  if (wanted === name) return true;
  if (!name.startsWith('*.')) return false;
  const dot = wanted.indexOf('.');
  return dot > 0 && wanted.slice(dot) === name.slice(1);
}

/** A matcher of one host, as auto_san_validation makes it: a DNS name or an address. */
export function hostMatcher(host: string): NameMatcher {
  return { kind: isIP(host) === 0 ? 'dns' : 'ip', exact: host, matches: (name) => name === host };
}
