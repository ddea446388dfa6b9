// The order of criteria, and that no look-up goes back on an earlier one.
import { expect, test } from 'vitest';
import {
  FilterChainMatch,
  type ChainQuestion,
  type ChainRule,
} from '../../../../src/sidecar/arrival/filter-chain-match.ts';

const ANY: ChainRule = {
  destinationPort: 0,
  destinationRanges: [],
  serverNames: [],
  transportProtocol: '',
  applicationProtocols: [],
  directSourceRanges: [],
  sourceType: 'any',
  sourceRanges: [],
  sourcePorts: [],
};

const QUESTION: ChainQuestion = {
  localAddress: '10.1.2.3',
  localPort: 80,
  serverName: '',
  transportProtocol: 'raw_buffer',
  applicationProtocols: [],
  directAddress: '10.9.9.9',
  remoteAddress: '10.9.9.9',
  remotePort: 5000,
};

const range = (address: string, prefixBits: number) => ({ address, prefixBits });

type Rules = Readonly<Record<string, Partial<ChainRule>>>;

function choose(rules: Rules, question: Partial<ChainQuestion>): string | null {
  const match = new FilterChainMatch<string>();
  for (const [name, rule] of Object.entries(rules)) expect(match.add({ ...ANY, ...rule }, name)).toBe(null);
  return match.find({ ...QUESTION, ...question });
}

const PORTS: Rules = { http: { destinationPort: 80, serverNames: ['a'] }, any: {} };
const RANGES: Rules = {
  wide: { destinationRanges: [range('10.0.0.0', 8)] },
  near: { destinationRanges: [range('10.1.2.0', 24)], serverNames: ['a'] },
  six: { destinationRanges: [range('2001:db8::', 32)] },
};
const NAMES: Rules = {
  exact: { serverNames: ['www.a.example'] },
  near: { serverNames: ['.a.example'] },
  far: { serverNames: ['.example'] },
  none: {},
};
const PROTOCOLS: Rules = {
  tls: { transportProtocol: 'tls' },
  h2: { transportProtocol: 'raw_buffer', applicationProtocols: ['h2c'] },
  http: { transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.0', 'http/1.1'] },
  raw: {},
};
const SOURCES: Rules = {
  direct: { directSourceRanges: [range('172.16.0.0', 12)] },
  local: { sourceType: 'local' },
  external: { sourceType: 'external', sourceRanges: [range('192.0.2.0', 24)] },
  port: { sourceType: 'external', sourceRanges: [range('198.51.100.0', 24)], sourcePorts: [7, 8] },
  any: { sourceRanges: [range('203.0.113.0', 24)] },
};

const CASES: readonly (readonly [string, Rules, Partial<ChainQuestion>, string | null])[] = [
  ['another port takes the chain of any port', PORTS, { localPort: 81 }, 'any'],
  ['a port that matched is not gone back on', PORTS, {}, null],
  ['a Unix socket has no port', PORTS, { localAddress: '' }, 'any'],
  ['the longest prefix wins, and is not gone back on', RANGES, {}, null],
  ['the longest prefix wins', RANGES, { serverName: 'a' }, 'near'],
  ['a wider prefix takes the rest', RANGES, { localAddress: '10.1.3.3' }, 'wide'],
  ['IPv6 has prefixes of its own', RANGES, { localAddress: '2001:db8::7' }, 'six'],
  ['no prefix, no chain', RANGES, { localAddress: '11.0.0.1' }, null],
  ['an exact name comes first', NAMES, { serverName: 'www.a.example' }, 'exact'],
  ['then the longest suffix', NAMES, { serverName: 'x.y.a.example' }, 'near'],
  ['then a shorter one', NAMES, { serverName: 'b.example' }, 'far'],
  ['a suffix is not the name itself', NAMES, { serverName: 'example' }, 'none'],
  ['no name takes chains without', NAMES, {}, 'none'],
  ['TLS is a transport protocol', PROTOCOLS, { transportProtocol: 'tls', applicationProtocols: ['h2c'] }, 'tls'],
  ['a protocol that matches hides chains without one', PROTOCOLS, {}, null],
  ['protocols are tried in the order they came', PROTOCOLS, { applicationProtocols: ['x', 'http/1.1', 'h2c'] }, 'http'],
  ['another transport takes the chain of any', PROTOCOLS, { transportProtocol: 'quic' }, 'raw'],
  ['the direct source comes before the others', SOURCES, { directAddress: '172.16.0.1' }, 'direct'],
  ['loopback is local', SOURCES, { remoteAddress: '127.0.0.1' }, 'local'],
  ['IPv6 loopback is local', SOURCES, { remoteAddress: '::1' }, 'local'],
  ['the same address is local', SOURCES, { remoteAddress: '10.1.2.3' }, 'local'],
  ['others are external', SOURCES, { remoteAddress: '192.0.2.9' }, 'external'],
  ['a source port must be in the list', SOURCES, { remoteAddress: '198.51.100.1', remotePort: 8 }, 'port'],
  ['another source port is no match', SOURCES, { remoteAddress: '198.51.100.1', remotePort: 9 }, null],
  ['external is not gone back on for any', SOURCES, { remoteAddress: '203.0.113.1' }, null],
];

test.each(CASES)('%s', (_, rules, question, expected) => {
  expect(choose(rules, question)).toBe(expected);
});

test('two chains for the same connections are told', () => {
  const match = new FilterChainMatch<string>();
  const rule = { ...ANY, serverNames: ['a', 'b'] };
  expect(match.add(rule, 'one')).toBe(null);
  expect(match.add({ ...ANY, serverNames: ['c', 'b'] }, 'two')).toBe('one');
  expect(match.find({ ...QUESTION, serverName: 'b' })).toBe('one');
});

test('ranges are compared by their prefix', () => {
  const match = new FilterChainMatch<string>();
  expect(match.add({ ...ANY, destinationRanges: [range('10.0.0.0', 8)] }, 'one')).toBe(null);
  expect(match.add({ ...ANY, destinationRanges: [range('10.7.0.0', 8)] }, 'two')).toBe('one');
});
