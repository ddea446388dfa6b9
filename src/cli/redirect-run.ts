// Runs `outrigger redirect install|print|verify|remove|probe`. Exit codes: 0 done or as it should be, 1 it failed or
// there are differences, 64 wrong usage. What is asked for goes to standard output, what was done to
// standard error. IPv6 is left out where the system has none, unless it was asked for.
import {
  differencesOf,
  describeDifference,
  installScript,
  readLiveRules,
  removeScript,
} from './redirect-difference.ts';
import { readRedirectFlags, type RedirectSettings } from './redirect-flags.ts';
import { planRedirect, renderPlan, renderRule, type Family, type RedirectPlan } from './redirect-plan.ts';
import { RedirectFailed, RedirectSystem } from './redirect-system.ts';
import type { RedirectAction, RedirectFlags } from './redirect.ts';

const DONE = 0;
const FAILED = 1;
const USAGE = 64;

export async function runRedirect(action: RedirectAction, flags: RedirectFlags): Promise<number> {
  const settings = readRedirectFlags(flags);
  if (!('family' in settings)) {
    for (const mistake of settings) say(`outrigger redirect: ${mistake}`);
    return USAGE;
  }
  const families: readonly Family[] =
    settings.family === 'ipv4' || settings.family === 'ipv6' ? [settings.family] : ['ipv4', 'ipv6'];
  const plans = families.map((family) => planRedirect(settings, family));
  if (action === 'print') {
    print(plans, settings);
    return DONE;
  }
  if (action === 'probe') {
    const { probeRedirect } = await import('./redirect-probe.ts');
    const mistake = await probeRedirect(settings);
    if (mistake !== '') say(`outrigger redirect: ${mistake}`);
    return mistake === '' ? DONE : FAILED;
  }
  const system = new RedirectSystem(settings.backend);
  const found = new Map<Family, readonly string[]>();
  for (const plan of plans) {
    try {
      found.set(plan.family, await act(action, plan, system));
    } catch (cause) {
      if (!(cause instanceof RedirectFailed)) throw cause;
      say(`outrigger redirect: ${plan.family}: ${cause.message}`);
      const maySkip = plan.family === 'ipv6' && cause.isAbsent && settings.family === 'auto' && !namesIpv6(settings);
      if (!maySkip) return FAILED;
      say('outrigger redirect: ipv6: left out; --family ipv4 says so from the start');
    }
  }
  if (action !== 'verify') return DONE;
  report(found, settings);
  return [...found.values()].flat().length === 0 ? DONE : FAILED;
}

/** One family; for `verify` the differences as lines. */
async function act(
  action: Exclude<RedirectAction, 'print' | 'probe'>,
  plan: RedirectPlan,
  system: RedirectSystem,
): Promise<readonly string[]> {
  const { family, loopbackAddress } = plan;
  const live = readLiveRules(await system.save(family));
  if (action === 'verify') return differencesOf(plan, live).map(describeDifference);
  const isInstall = action === 'install';
  const script = isInstall ? installScript(plan, live) : removeScript(live);
  if (script !== null) await system.restore(family, script);
  if (loopbackAddress !== null) await setLoopback(isInstall ? 'add' : 'del', loopbackAddress, system);
  if (isInstall && script !== null) await checkInForce(plan, system);
  const done = isInstall ? 'installed' : 'removed';
  const idle = isInstall ? 'in force already, nothing changed' : 'nothing to remove';
  say(`${family}: ${script === null ? idle : done}`);
  return [];
}

/** Only the calls of the app to itself over IPv6 need it: its absence is told and no failure. */
async function setLoopback(action: 'add' | 'del', address: string, system: RedirectSystem): Promise<void> {
  try {
    await system.loopbackAddress(action, address);
  } catch (cause) {
    if (!(cause instanceof RedirectFailed)) throw cause;
    say(`outrigger redirect: ipv6: ${cause.message}: ${address} on lo is where the sidecar dials its app from`);
  }
}

/** A rule that the kernel took for another one must not pass in silence. */
async function checkInForce(plan: RedirectPlan, system: RedirectSystem): Promise<void> {
  const [first] = differencesOf(plan, readLiveRules(await system.save(plan.family)));
  if (first === undefined) return;
  throw new RedirectFailed(`the rules were installed and are not in force: ${describeDifference(first)}`, false);
}

function namesIpv6({ outboundRanges, excludedOutboundRanges }: RedirectSettings): boolean {
  const named = outboundRanges.kind === 'all' ? [] : outboundRanges.items;
  return [...named, ...excludedOutboundRanges].some(({ family }) => family === 'ipv6');
}

function print(plans: readonly RedirectPlan[], { output }: RedirectSettings): void {
  if (output === 'json') {
    const families = plans.map((plan) => [
      plan.family,
      { chains: plan.chains, rules: plan.rules.map(renderRule), jumps: plan.jumps.map(renderRule) },
    ]);
    process.stdout.write(`${JSON.stringify(Object.fromEntries(families), null, 2)}\n`);
    return;
  }
  for (const plan of plans) {
    const program = plan.family === 'ipv4' ? 'iptables-restore' : 'ip6tables-restore';
    process.stdout.write(`# ${program} --noflush\n${renderPlan(plan)}`);
  }
}

function report(found: ReadonlyMap<Family, readonly string[]>, { output }: RedirectSettings): void {
  if (output === 'json') {
    process.stdout.write(`${JSON.stringify(Object.fromEntries(found), null, 2)}\n`);
    return;
  }
  for (const [family, lines] of found) {
    if (lines.length === 0) say(`${family}: in force`);
    for (const line of lines) process.stdout.write(`${family}: ${line}\n`);
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
