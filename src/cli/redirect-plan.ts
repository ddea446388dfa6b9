// The rules of the pod's redirect as data, one plan for each family: pure, so that printing needs no
// privileges and every option has a golden text. The meaning is that of Istio's chains; the names are our
// own, so that nobody takes one for the other. All rules stand in the table nat and speak of TCP only.
//
//   PREROUTING ─► INBOUND ─► (excluded: return) ─► IN_REDIRECT ─► inbound port
//   OUTPUT ─► OUTPUT ─► (excluded, loopback, the proxy's own: return) ─► REDIRECT ─► outbound port
//
// Source: Istio's tools/istio-iptables, by its documented behaviour.
import type { RedirectSettings } from './redirect-flags.ts';
import type { IpRange } from '../control/injection/redirect-list.ts';

export type Family = 'ipv4' | 'ipv6';

export const INBOUND = 'OUTRIGGER_INBOUND';
export const IN_REDIRECT = 'OUTRIGGER_IN_REDIRECT';
export const OUTPUT = 'OUTRIGGER_OUTPUT';
export const REDIRECT = 'OUTRIGGER_REDIRECT';
/** Every chain that may be ours, in use or left over. */
export const OWN_CHAINS: readonly string[] = [INBOUND, IN_REDIRECT, OUTPUT, REDIRECT];

/** What a rule looks at; what is absent matches everything. */
export interface Match {
  readonly source?: string;
  readonly destination?: string;
  readonly notDestination?: string;
  readonly fromInterface?: string;
  readonly toInterface?: string;
  /** `80` or `8000:8100`. */
  readonly ports?: string;
  readonly owner?: { readonly kind: 'uid' | 'gid'; readonly id: string };
}

export interface Rule {
  readonly chain: string;
  readonly match: Match;
  /** A chain, RETURN, or REDIRECT to a port. */
  readonly target: string | { readonly port: number };
}

export interface RedirectPlan {
  readonly family: Family;
  /** Jumps from the kernel's chains. */
  readonly jumps: readonly Rule[];
  readonly chains: readonly string[];
  readonly rules: readonly Rule[];
  /** The address that the sidecar dials its app from must be the pod's own: IPv4 has all of 127.0.0.0/8, IPv6 lacks this. */
  readonly loopbackAddress: string | null;
}

const LOOPBACK: Readonly<Record<Family, string>> = { ipv4: '127.0.0.1/32', ipv6: '::1/128' };
/** Where the sidecar dials its app from, so that such a connection is known for one that was captured already. */
const PASSED: Readonly<Record<Family, string>> = { ipv4: '127.0.0.6/32', ipv6: '::6/128' };

export function planRedirect(settings: RedirectSettings, family: Family): RedirectPlan {
  const inbound = inboundRules(settings, family);
  const outbound = outboundRules(settings, family);
  return {
    family,
    jumps: [
      ...(inbound.length > 0 ? [{ chain: 'PREROUTING', match: {}, target: INBOUND }] : []),
      { chain: 'OUTPUT', match: {}, target: OUTPUT },
    ],
    chains: inbound.length > 0 ? OWN_CHAINS : OWN_CHAINS.filter((chain) => chain !== INBOUND),
    rules: withoutRepeats([
      ...inbound,
      { chain: IN_REDIRECT, match: {}, target: { port: settings.inboundPort } },
      ...outbound,
      { chain: REDIRECT, match: {}, target: { port: settings.outboundPort } },
    ]),
    loopbackAddress: family === 'ipv6' ? PASSED.ipv6 : null,
  };
}

/** An excluded 127.0.0.1 says what is said already: a second rule in a chain never matches, and reads as damage. */
function withoutRepeats(rules: readonly Rule[]): readonly Rule[] {
  const texts = rules.map(renderRule);
  return rules.filter((_, index) => texts.indexOf(texts[index] ?? '') === index);
}

function inboundRules(settings: RedirectSettings, family: Family): readonly Rule[] {
  const rule = (match: Match, target: Rule['target']): Rule => ({ chain: INBOUND, match, target });
  const { inboundPorts } = settings;
  const captured =
    inboundPorts.kind === 'all'
      ? [rule({}, IN_REDIRECT)]
      : inboundPorts.items.map((ports) => rule({ ports }, IN_REDIRECT));
  // What a virtual machine sends comes in by an interface and is the workload's own: outbound.
  const machines = settings.virtualMachineInterfaces.flatMap((fromInterface) => [
    ...ofFamily(settings.excludedOutboundRanges, family).map(({ text }) =>
      rule({ fromInterface, ...towards(text) }, 'RETURN'),
    ),
    ...includedRanges(settings, family).map((range) => rule({ fromInterface, ...range }, REDIRECT)),
    rule({ fromInterface }, 'RETURN'),
  ]);
  if (captured.length + machines.length === 0) return [];
  return [
    ...settings.excludedInterfaces.map((fromInterface) => rule({ fromInterface }, 'RETURN')),
    ...machines,
    ...settings.excludedInboundPorts.map((ports) => rule({ ports }, 'RETURN')),
    ...captured,
  ];
}

function outboundRules(settings: RedirectSettings, family: Family): readonly Rule[] {
  const rule = (match: Match, target: Rule['target']): Rule => ({ chain: OUTPUT, match, target });
  const owners = [
    ...settings.proxyUids.map((id) => ({ kind: 'uid', id }) as const),
    ...settings.proxyGids.map((id) => ({ kind: 'gid', id }) as const),
  ];
  const isInboundCaptured = settings.inboundPorts.kind === 'all' || settings.inboundPorts.items.length > 0;
  const toInterface = 'lo';
  return [
    ...settings.excludedInterfaces.map((name) => rule({ toInterface: name }, 'RETURN')),
    ...settings.excludedOutboundPorts.map((ports) => rule({ ports }, 'RETURN')),
    // The sidecar hands a captured connection to its app.
    rule({ source: PASSED[family], toInterface }, 'RETURN'),
    // The app called its own service: its sidecar chose this very pod, where the call is inbound.
    ...(isInboundCaptured
      ? owners.map((owner) => rule({ notDestination: LOOPBACK[family], toInterface, owner }, IN_REDIRECT))
      : []),
    // The app talks to itself, by 127.0.0.1 or by the pod's own address.
    rule({ toInterface }, 'RETURN'),
    // What the sidecar sends is on its way already.
    ...owners.map((owner) => rule({ owner }, 'RETURN')),
    rule({ destination: LOOPBACK[family] }, 'RETURN'),
    ...ofFamily(settings.excludedOutboundRanges, family).map(({ text }) => rule(towards(text), 'RETURN')),
    ...settings.outboundPorts.map((ports) => rule({ ports }, REDIRECT)),
    ...includedRanges(settings, family).map((range) => rule(range, REDIRECT)),
  ];
}

function includedRanges({ outboundRanges }: RedirectSettings, family: Family): readonly Match[] {
  if (outboundRanges.kind === 'all') return [{}];
  return ofFamily(outboundRanges.items, family).map(({ text }) => towards(text));
}

/** iptables prints no destination where it is every one. */
function towards(range: string): Match {
  return range.endsWith('/0') ? {} : { destination: range };
}

function ofFamily(ranges: readonly IpRange[], family: Family): readonly IpRange[] {
  return ranges.filter((range) => range.family === family);
}

/** The rule as iptables-save prints it: its order and spelling, so that texts can be compared. */
export function renderRule({ chain, match, target }: Rule): string {
  const words = ['-A', chain];
  if (match.source !== undefined) words.push('-s', match.source);
  if (match.destination !== undefined) words.push('-d', match.destination);
  if (match.notDestination !== undefined) words.push('!', '-d', match.notDestination);
  if (match.fromInterface !== undefined) words.push('-i', match.fromInterface);
  if (match.toInterface !== undefined) words.push('-o', match.toInterface);
  words.push('-p', 'tcp');
  if (match.ports !== undefined) words.push('-m', 'tcp', '--dport', match.ports);
  if (match.owner !== undefined) words.push('-m', 'owner', `--${match.owner.kind}-owner`, match.owner.id);
  if (typeof target === 'string') words.push('-j', target);
  else words.push('-j', 'REDIRECT', '--to-ports', String(target.port));
  return words.join(' ');
}

/** What `iptables-restore --noflush` takes where nothing of ours is in force yet. */
export function renderPlan(plan: RedirectPlan): string {
  return [
    '*nat',
    ...plan.chains.map((chain) => `:${chain} - [0:0]`),
    ...plan.rules.map(renderRule),
    ...plan.jumps.map(renderRule),
    'COMMIT',
    '',
  ].join('\n');
}
