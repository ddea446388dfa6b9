// Reads the options of `outrigger redirect` into settings, or into what is wrong with them: all of it at
// once, one sentence each. What Istio's program has and this one does not (TPROXY, DNS) is refused by name.
import { ListReader, type Choice, type IpRange } from '../control/injection/redirect-list.ts';
import type { RedirectFlags } from './redirect.ts';

const FAMILIES = ['auto', 'ipv4', 'ipv6', 'both'] as const;
const BACKENDS = ['auto', 'nft', 'legacy'] as const;
export type Backend = (typeof BACKENDS)[number];

export interface RedirectSettings {
  readonly outboundPort: number;
  readonly inboundPort: number;
  readonly proxyUids: readonly string[];
  readonly proxyGids: readonly string[];
  readonly inboundPorts: Choice<string>;
  readonly excludedInboundPorts: readonly string[];
  /** Redirected whatever the address is. */
  readonly outboundPorts: readonly string[];
  readonly excludedOutboundPorts: readonly string[];
  readonly outboundRanges: Choice<IpRange>;
  readonly excludedOutboundRanges: readonly IpRange[];
  readonly excludedInterfaces: readonly string[];
  readonly virtualMachineInterfaces: readonly string[];
  readonly family: (typeof FAMILIES)[number];
  readonly backend: Backend;
  readonly output: 'text' | 'json';
}

/** The settings, or one sentence for each mistake. */
export function readRedirectFlags(flags: RedirectFlags): RedirectSettings | readonly string[] {
  const reader = new ListReader();
  const text = (name: string): string => {
    const value = flags[name];
    return typeof value === 'string' ? value : '';
  };
  if (text('mode') !== 'REDIRECT') {
    const said = text('mode') === 'TPROXY' ? 'TPROXY is not supported' : `${JSON.stringify(text('mode'))} is unknown`;
    reader.mistakes.push(`--mode: ${said}; write REDIRECT`);
  }
  if (flags['redirectDns'] !== undefined) {
    reader.mistakes.push('--redirect-dns: DNS is not captured; leave the option away');
  }
  const settings = {
    outboundPort: reader.port('proxy-port', text('proxyPort')),
    inboundPort: reader.port('inbound-port', text('inboundPort')),
    proxyUids: reader.ids('proxy-uid', text('proxyUid')),
    proxyGids: reader.ids('proxy-gid', text('proxyGid')),
    inboundPorts: reader.portChoice('inbound-ports', text('inboundPorts')),
    excludedInboundPorts: reader.ports('exclude-inbound-ports', text('excludeInboundPorts')),
    outboundPorts: reader.ports('outbound-ports', text('outboundPorts')),
    excludedOutboundPorts: reader.ports('exclude-outbound-ports', text('excludeOutboundPorts')),
    outboundRanges: reader.rangeChoice('outbound-ip-ranges', text('outboundIpRanges')),
    excludedOutboundRanges: reader.ranges('exclude-outbound-ip-ranges', text('excludeOutboundIpRanges')),
    excludedInterfaces: reader.interfaces('exclude-interfaces', text('excludeInterfaces')),
    virtualMachineInterfaces: reader.interfaces('kube-virt-interfaces', text('kubeVirtInterfaces')),
    family: reader.oneOf('family', text('family'), FAMILIES) ?? 'auto',
    backend: reader.oneOf('backend', text('backend'), BACKENDS) ?? 'auto',
    output: reader.oneOf('output', text('output'), ['text', 'json'] as const) ?? 'text',
  };
  if (settings.proxyUids.length + settings.proxyGids.length === 0) {
    reader.mistakes.push("--proxy-uid: without it the sidecar's own connections would come back to it; write 1337");
  }
  return reader.mistakes.length > 0 ? reader.mistakes : settings;
}
