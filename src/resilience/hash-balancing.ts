// Compiles ring hash and Maglev from their two spellings: `lb_policy` with `*_lb_config` and the cluster's
// common_lb_config, and the extensions of the same names. Envoy's bounds hold.
// Source: Envoy RingHashLbConfig, MaglevLbConfig, ConsistentHashingLbConfig.
import { error } from '../base/problem.ts';
import type { CompileEnv } from '../plan/plan.ts';
import type { Balancing, HashSettings } from './cluster-settings.ts';
import { isPrime } from './maglev.ts';

interface ConsistentFields {
  readonly useHostnameForHashing: boolean;
  readonly hashBalanceFactor?: number | undefined;
}

interface RingFields {
  readonly minimumRingSize?: bigint | undefined;
  readonly maximumRingSize?: bigint | undefined;
  readonly usesMurmur: boolean;
}

const RING_SIZE = 1024;
const RING_SIZE_MAX = 8_388_608;
const TABLE_SIZE = 65_537;
const TABLE_SIZE_MAX = 5_000_011;
const BOUND_PERCENT_MIN = 100;

export function compileRingHash(
  config: RingFields,
  consistent: ConsistentFields | undefined,
  env: CompileEnv,
  path: string,
): Balancing {
  const sizeMin = Number(config.minimumRingSize ?? RING_SIZE);
  const sizeMax = Number(config.maximumRingSize ?? RING_SIZE_MAX);
  const tooLarge = (field: string, size: number): void => {
    if (size <= RING_SIZE_MAX) return;
    env.problems.push(error(`${path}.${field}`, `${size} is too large`, `write at most ${RING_SIZE_MAX}`));
  };
  tooLarge('minimum_ring_size', sizeMin);
  tooLarge('maximum_ring_size', sizeMax);
  if (sizeMin > sizeMax) {
    const message = `${sizeMin} is more than maximum_ring_size (${sizeMax})`;
    env.problems.push(error(`${path}.minimum_ring_size`, message, 'write a minimum that is not above the maximum'));
  }
  const hash = config.usesMurmur ? 'murmur' : 'xx';
  return Object.freeze({ kind: 'ring-hash', sizeMin, sizeMax, hash, ...compileConsistent(consistent, env, path) });
}

export function compileMaglev(
  config: { readonly tableSize?: bigint | undefined } | undefined,
  consistent: ConsistentFields | undefined,
  env: CompileEnv,
  path: string,
): Balancing {
  const tableSize = Number(config?.tableSize ?? TABLE_SIZE);
  const isFit = tableSize <= TABLE_SIZE_MAX && isPrime(tableSize);
  if (!isFit) {
    const message = `${tableSize} is no prime up to ${TABLE_SIZE_MAX}`;
    env.problems.push(error(`${path}.table_size`, message, `write ${TABLE_SIZE}`));
  }
  const settings = compileConsistent(consistent, env, path);
  return Object.freeze({ kind: 'maglev', tableSize: isFit ? tableSize : TABLE_SIZE, ...settings });
}

function compileConsistent(consistent: ConsistentFields | undefined, env: CompileEnv, path: string): HashSettings {
  const boundPercent = consistent?.hashBalanceFactor ?? 0;
  if (consistent?.hashBalanceFactor !== undefined && boundPercent < BOUND_PERCENT_MIN) {
    const at = `${path}.hash_balance_factor`;
    env.problems.push(error(at, `${boundPercent} is below ${BOUND_PERCENT_MIN}`, 'write a percentage from 100 on'));
  }
  return { usesHostname: consistent?.useHostnameForHashing ?? false, boundPercent };
}
