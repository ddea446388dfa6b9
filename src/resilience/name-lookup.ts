// One name by the lookup family of its cluster, out of lookups of the single families.
//   v4-only, v6-only   that family
//   auto               IPv6, and IPv4 when there is no IPv6 address
//   v4-preferred       IPv4, and IPv6 when there is no IPv4 address
//   all                both, IPv6 after IPv4; one of them is enough
// A failure of one family counts only when the other has no addresses either.
import { isIP } from 'node:net';
import { assertNever } from '../base/assert.ts';
import type { DnsSettings } from './cluster-settings.ts';
import type { LookupResult, Resolver } from './resolver.ts';

export async function lookupName(resolver: Resolver, name: string, dns: DnsSettings): Promise<LookupResult> {
  if (isIP(name) !== 0) return { kind: 'answer', addresses: [{ address: name, ttlSeconds: 0 }] };
  const ask = (family: 4 | 6): Promise<LookupResult> =>
    resolver.lookup(name, { family, servers: dns.servers, needsTtl: dns.respectsTtl });
  switch (dns.family) {
    case 'v4-only':
      return ask(4);
    case 'v6-only':
      return ask(6);
    case 'auto':
      return askInTurn(
        () => ask(6),
        () => ask(4),
      );
    case 'v4-preferred':
      return askInTurn(
        () => ask(4),
        () => ask(6),
      );
    case 'all': {
      const [v4, v6] = await Promise.all([ask(4), ask(6)]);
      if (v4.kind === 'answer' && v6.kind === 'answer') {
        return { kind: 'answer', addresses: [...v4.addresses, ...v6.addresses] };
      }
      return hasAddresses(v4) ? v4 : hasAddresses(v6) ? v6 : v4.kind === 'failure' ? v4 : v6;
    }
    default:
      return assertNever(dns.family);
  }
}

async function askInTurn(
  first: () => Promise<LookupResult>,
  second: () => Promise<LookupResult>,
): Promise<LookupResult> {
  const preferred = await first();
  if (hasAddresses(preferred)) return preferred;
  const fallback = await second();
  return hasAddresses(fallback) || preferred.kind === 'answer' ? fallback : preferred;
}

function hasAddresses(result: LookupResult): boolean {
  return result.kind === 'answer' && result.addresses.length > 0;
}
