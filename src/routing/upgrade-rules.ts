// Compiles upgrade_configs, which managers and routes both have: which protocols a client may change to.
// Source: Envoy HttpConnectionManager.UpgradeConfig and RouteAction.UpgradeConfig.
import { error, type Problem } from '../base/problem.ts';
import type { UpgradeRule, UpgradeRules } from '../plan/plan.ts';

/** What both kinds of UpgradeConfig share. */
interface UpgradeConfig {
  readonly upgradeType: string;
  /** True by default. */
  readonly enabled?: boolean | undefined;
  /** Routes only. */
  readonly connectConfig?: object | undefined;
}

/** Null when there are none. */
export function compileUpgrades(
  configs: readonly UpgradeConfig[],
  problems: Problem[],
  path: string,
): UpgradeRules | null {
  if (configs.length === 0) return null;
  const rules = new Map<string, UpgradeRule>();
  for (const [i, config] of configs.entries()) {
    const at = `${path}[${i}]`;
    const name = config.upgradeType.toLowerCase();
    const isConnect = name === 'connect';
    if (name === '') problems.push(error(`${at}.upgrade_type`, 'must not be empty', 'write websocket or CONNECT'));
    if (rules.has(name)) {
      problems.push(error(`${at}.upgrade_type`, `${config.upgradeType} is named twice`, 'name each protocol once'));
    }
    if (config.connectConfig !== undefined && !isConnect) {
      problems.push(error(`${at}.connect_config`, `has no meaning for ${config.upgradeType}`, 'write it for CONNECT'));
    }
    rules.set(name, {
      isAllowed: (config.enabled ?? true) && name !== 'h2c',
      isTerminated: isConnect && config.connectConfig !== undefined,
    });
  }
  return rules;
}
