// @hot
// Which virtual host answers for an authority: an exact domain, else the longest suffix wildcard
// (`*.x`, `*-x`), else the longest prefix wildcard (`x.*`), else `*`. A wildcard never stands for the
// empty string. Hosts are compared in lower case. Source: Envoy VirtualHost.domains.

/** Wildcards whose literal part has one length. */
interface SameLength<Host> {
  readonly length: number;
  readonly byLiteral: Map<string, Host>;
}

export class HostIndex<Host> {
  readonly #exact = new Map<string, Host>();
  /** Longest first. */
  readonly #suffixes: SameLength<Host>[] = [];
  readonly #prefixes: SameLength<Host>[] = [];
  #fallback: Host | null = null;

  /** Config time only. False when the domain is taken. */
  add(domain: string, host: Host): boolean {
    const lower = domain.toLowerCase();
    if (lower === '*') {
      if (this.#fallback !== null) return false;
      this.#fallback = host;
      return true;
    }
    if (lower.startsWith('*')) return put(sameLength(this.#suffixes, lower.length - 1), lower.slice(1), host);
    if (lower.endsWith('*')) return put(sameLength(this.#prefixes, lower.length - 1), lower.slice(0, -1), host);
    return put(this.#exact, lower, host);
  }

  find(authority: string): Host | null {
    const host = authority.toLowerCase();
    const exact = this.#exact.get(host);
    if (exact !== undefined) return exact;
    const suffixes = this.#suffixes;
    for (let i = 0; i < suffixes.length; i++) {
      const group = suffixes[i] as SameLength<Host>;
      if (group.length >= host.length) continue;
      const found = group.byLiteral.get(host.slice(host.length - group.length));
      if (found !== undefined) return found;
    }
    const prefixes = this.#prefixes;
    for (let i = 0; i < prefixes.length; i++) {
      const group = prefixes[i] as SameLength<Host>;
      if (group.length >= host.length) continue;
      const found = group.byLiteral.get(host.slice(0, group.length));
      if (found !== undefined) return found;
    }
    return this.#fallback;
  }
}

function put<Host>(map: Map<string, Host>, key: string, host: Host): boolean {
  if (map.has(key)) return false;
  map.set(key, host);
  return true;
}

function sameLength<Host>(groups: SameLength<Host>[], length: number): Map<string, Host> {
  let at = 0;
  while (at < groups.length && (groups[at] as SameLength<Host>).length > length) at++;
  const found = groups[at];
  if (found !== undefined && found.length === length) return found.byLiteral;
  const byLiteral = new Map<string, Host>();
  groups.splice(at, 0, { length, byLiteral });
  return byLiteral;
}

/** The authority without its port. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':');
  if (colon === -1 || colon + 1 === authority.length || authority.indexOf(']', colon) !== -1) return authority;
  if (authority.charCodeAt(0) !== 0x5b && authority.indexOf(':') !== colon) return authority;
  for (let i = colon + 1; i < authority.length; i++) {
    const code = authority.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return authority;
  }
  return authority.slice(0, colon);
}
