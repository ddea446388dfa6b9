// The `tls` and `tcp` rules of a VirtualService: where connections go, by the name in the TLS client hello, by
// the address that the app chose, and by who calls. The blocks of one rule are alternatives; in a block every
// field that is there must hold (istio.networking.v1 TLSRoute and TCPRoute).
import { readRange } from './address-range.ts';
import type { Fields } from './fields.ts';
import { limits } from './limits.ts';
import { readDestination } from './virtual-service-destination.ts';
import type { Destination } from './virtual-service-destination.ts';

export interface TcpMatch {
  /** Empty in `tcp` rules, and never in `tls` rules. */
  readonly serverNames: readonly string[];
  /** `ADDRESS/BITS`; empty is any. */
  readonly ranges: readonly string[];
  /** 0 when not given. */
  readonly port: number;
  readonly sourceLabels: ReadonlyMap<string, string>;
  readonly sourceNamespace: string;
  readonly gateways: readonly string[];
}

export interface TcpDestination {
  readonly destination: Destination;
  /** 0 when not given. */
  readonly weight: number;
}

export interface TcpRule {
  /** Empty matches everything, in `tcp` rules only. */
  readonly matches: readonly TcpMatch[];
  readonly route: readonly TcpDestination[];
}

export function readTcpRule(fields: Fields): TcpRule {
  return readRule(fields, 'tcp');
}

export function readTlsRule(fields: Fields): TcpRule {
  const rule = readRule(fields, 'tls');
  if (rule.matches.length === 0)
    fields.error('match', 'a tls rule needs a match', 'add match: [{ sniHosts: [api.example.com] }]');
  return rule;
}

function readRule(fields: Fields, kind: 'tcp' | 'tls'): TcpRule {
  fields.refuseUnknown('match');
  const matches = fields.list('match', (match) => readMatch(match, kind), limits.matchesMax);
  const route = fields.list('route', readWeighted, limits.destinationsMax);
  if (route.length === 0)
    fields.error('route', 'the rule names no destination', 'add route: [{ destination: { host: store } }]');
  if (route.length > 1 && route.every((entry) => entry.weight === 0))
    fields.error(
      'route',
      'the weights of the destinations add up to 0',
      'give each destination a weight, for example 90 and 10',
    );
  return { matches, route };
}

function readMatch(fields: Fields, kind: 'tcp' | 'tls'): TcpMatch {
  fields.refuseUnknown();
  const serverNames = kind === 'tls' ? fields.texts('sniHosts') : [];
  if (kind === 'tls' && serverNames.length === 0)
    fields.error('sniHosts', 'a tls match needs the names that it is for', 'add sniHosts: [api.example.com]');
  for (const name of serverNames) {
    if (!/^(?:\*|(?:\*\.)?[-A-Za-z0-9_.]+)$/.test(name))
      fields.error('sniHosts', `"${name}" is not a host`, 'write a host name, or a wildcard like *.example.com');
  }
  const ranges = fields.texts('destinationSubnets').flatMap((text) => {
    const range = readRange(text);
    if (range !== null) return [range];
    fields.error('destinationSubnets', `"${text}" is not an address range`, 'write one like 10.1.0.0/16');
    return [];
  });
  fields.later('sourceSubnet');
  return {
    serverNames: serverNames.map((name) => name.toLowerCase()),
    ranges,
    port: fields.port('port') ?? 0,
    sourceLabels: fields.textMap('sourceLabels'),
    sourceNamespace: fields.text('sourceNamespace'),
    gateways: fields.texts('gateways'),
  };
}

function readWeighted(fields: Fields): TcpDestination {
  fields.refuseUnknown();
  const destination = fields.object('destination', readDestination);
  if (destination === null) fields.error('destination', 'destination is missing', 'add destination: { host: store }');
  return {
    destination: destination ?? { host: '', subset: '', port: 0 },
    // A weight that was refused counts as one, so that the sum is not refused as well.
    weight: fields.integer('weight', { min: 0, max: 4_294_967_295 }) ?? (fields.has('weight') ? 1 : 0),
  };
}
