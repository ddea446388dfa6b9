// Makes a join token for the command line. Exit codes: 0 printed, 1 the authority cannot be read, 64 wrong usage.
import { systemClock } from '../base/clock.ts';
import { formatProblem, type Problem } from '../base/problem.ts';
import { parseDuration } from '../config/duration.ts';
import type { AuthorityStore } from '../control/ca/authority-files.ts';
import { readMaterial } from '../control/ca/authority-material.ts';
import { JoinTokens, JOIN_LIFETIME_MAX_MS } from '../control/ca/join-token.ts';
import { spiffeId } from '../tls/spiffe-id.ts';
import { withAuthority } from './authority-place.ts';
import type { TokenFlags } from './token.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;

export async function runTokenCreate(workload: string, flags: TokenFlags): Promise<number> {
  const { ttl } = flags;
  const [namespace = '', serviceAccount = '', ...rest] = workload.split('/');
  if (rest.length > 0 || spiffeId({ trustDomain: 'any', namespace, serviceAccount }) === null)
    return failed(`"${workload}" is not namespace/service-account`, EXIT_USAGE);
  const ttlMs = parseDuration(ttl, 'go');
  if (ttlMs === null || ttlMs < 1000 || ttlMs > JOIN_LIFETIME_MAX_MS)
    return failed(`--ttl takes a duration from 1s to 24h, for example 30m, not "${ttl}"`, EXIT_USAGE);
  try {
    const code = await withAuthority(flags, async (store) => await create(store, { namespace, serviceAccount, ttlMs }));
    return typeof code === 'string' ? failed(code, EXIT_USAGE) : code;
  } catch (cause) {
    return failed(cause instanceof Error ? cause.message : String(cause), EXIT_FAILED);
  }
}

interface Wanted {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly ttlMs: number;
}

async function create(store: AuthorityStore, wanted: Wanted): Promise<number> {
  const { place } = store;
  const nowMs = systemClock.wall();
  const problems: Problem[] = [];
  const material = readMaterial(await store.read(), nowMs, problems);
  if (material === null) {
    for (const problem of problems) process.stderr.write(`outrigger token: ${place}: ${formatProblem(problem)}\n`);
    return failed(`there is no certificate authority in ${place}; make one with outrigger ca init`, EXIT_FAILED);
  }
  const tokens = await JoinTokens.open(store);
  tokens.close();
  const roots = material.roots.map(({ x509 }) => x509);
  process.stdout.write(`${await tokens.create({ ...wanted, roots }, nowMs)}\n`);
  return 0;
}

function failed(message: string, code: number): number {
  process.stderr.write(`outrigger token: ${message}\n`);
  return code;
}
