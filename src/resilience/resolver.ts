// Names to addresses. The default resolver is the system's own (getaddrinfo): it reads /etc/hosts and
// the search domains of resolv.conf, as Envoy's does, which a bare DNS query would not. It tells no
// time to live, so that a cluster with respect_dns_ttl asks the name servers directly first, and one
// with servers of its own asks only those. IP literals never come here.
import { Resolver as NodeResolver, promises } from 'node:dns';
import { LookupGate } from './lookup-gate.ts';

export interface ResolvedAddress {
  readonly address: string;
  /** Seconds; 0 when unknown. */
  readonly ttlSeconds: number;
}

/** An answer may be empty: the name exists without such addresses, or does not exist. A failure says nothing. */
export type LookupResult =
  | { readonly kind: 'answer'; readonly addresses: readonly ResolvedAddress[] }
  | { readonly kind: 'failure'; readonly cause: string };

export interface LookupOptions {
  readonly family: 4 | 6;
  /** `address:port` of DNS servers; empty for the system's resolver. */
  readonly servers: readonly string[];
  readonly needsTtl: boolean;
}

export interface Resolver {
  /** Never rejects. */
  lookup(name: string, options: LookupOptions): Promise<LookupResult>;
}

const QUERY_TIMEOUT_MS = 2000;
const QUERY_TRIES = 3;
/** Of the four threads of Node's pool, one is always left for files. */
const SYSTEM_LOOKUPS_MAX = 3;

/** The codes by which a resolver says that there are no such addresses, and not that it failed. */
const EMPTY_ANSWERS = new Set(['ENOTFOUND', 'ENODATA', 'EAI_ADDRFAMILY', 'EAI_NODATA', 'EAI_NONAME']);

export function createNodeResolver(): Resolver {
  const gate = new LookupGate(SYSTEM_LOOKUPS_MAX);
  const queriers = new Map<string, NodeResolver>();
  const querierOf = (servers: readonly string[]): NodeResolver => {
    const key = servers.join(',');
    const known = queriers.get(key);
    if (known !== undefined) return known;
    const querier = new NodeResolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES });
    if (servers.length > 0) querier.setServers(servers);
    queriers.set(key, querier);
    return querier;
  };
  return {
    async lookup(name, { family, servers, needsTtl }) {
      if (servers.length > 0) return query(querierOf(servers), name, family);
      if (needsTtl) {
        const result = await query(querierOf([]), name, family);
        if (result.kind === 'answer' && result.addresses.length > 0) return result;
      }
      return gate.run(() => lookupBySystem(name, family));
    },
  };
}

async function lookupBySystem(name: string, family: 4 | 6): Promise<LookupResult> {
  try {
    const found = await promises.lookup(name, { family, all: true, order: 'verbatim' });
    return { kind: 'answer', addresses: found.map(({ address }) => ({ address, ttlSeconds: 0 })) };
  } catch (cause) {
    return explain(cause);
  }
}

function query(querier: NodeResolver, name: string, family: 4 | 6): Promise<LookupResult> {
  return new Promise((resolve) => {
    const settle = (cause: Error | null, records: readonly { address: string; ttl: number }[] | undefined): void => {
      if (cause !== null) return resolve(explain(cause));
      const addresses = (records ?? []).map(({ address, ttl }) => ({ address, ttlSeconds: ttl }));
      resolve({ kind: 'answer', addresses });
    };
    if (family === 4) querier.resolve4(name, { ttl: true }, settle);
    else querier.resolve6(name, { ttl: true }, settle);
  });
}

function explain(cause: unknown): LookupResult {
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  if (EMPTY_ANSWERS.has(code)) return { kind: 'answer', addresses: [] };
  return { kind: 'failure', cause: code === '' ? String(cause) : code };
}
