// The rules of `outrigger redirect` from its options, and what is written to bring what is in force to them.
// That kernels take these texts, and what traffic makes of them, is in test/netns.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import {
  describeDifference,
  differencesOf,
  installScript,
  readLiveRules,
  removeScript,
} from '../../../src/cli/redirect-difference.ts';
import { readRedirectFlags, type RedirectSettings } from '../../../src/cli/redirect-flags.ts';
import { planRedirect, renderPlan, renderRule, type Family } from '../../../src/cli/redirect-plan.ts';

const DEFAULTS = {
  proxyPort: '15001',
  inboundPort: '15006',
  proxyUid: '1337',
  proxyGid: '1337',
  mode: 'REDIRECT',
  inboundPorts: '*',
  excludeInboundPorts: '15020,15021,15022,15090',
  outboundPorts: '',
  excludeOutboundPorts: '',
  outboundIpRanges: '*',
  excludeOutboundIpRanges: '',
  excludeInterfaces: '',
  kubeVirtInterfaces: '',
  family: 'auto',
  backend: 'auto',
  output: 'text',
};

type Flags = Readonly<Partial<Record<keyof typeof DEFAULTS, string>>>;

function settingsOf(flags: Flags = {}): RedirectSettings {
  const settings = readRedirectFlags({ ...DEFAULTS, ...flags });
  if (!('family' in settings)) throw new Error(settings.join('\n'));
  return settings;
}

/** The rules of one of our chains, without what all have in common. */
function rulesOf(chain: string, flags: Flags, family: Family = 'ipv4'): readonly string[] {
  const prefix = `-A OUTRIGGER_${chain} `;
  return planRedirect(settingsOf(flags), family)
    .rules.map(renderRule)
    .filter((rule) => rule.startsWith(prefix))
    .map((rule) => rule.slice(prefix.length).replaceAll('OUTRIGGER_', ''));
}

const PLAIN = `*nat
:OUTRIGGER_INBOUND - [0:0]
:OUTRIGGER_IN_REDIRECT - [0:0]
:OUTRIGGER_OUTPUT - [0:0]
:OUTRIGGER_REDIRECT - [0:0]
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 15020 -j RETURN
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 15021 -j RETURN
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 15022 -j RETURN
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 15090 -j RETURN
-A OUTRIGGER_INBOUND -p tcp -j OUTRIGGER_IN_REDIRECT
-A OUTRIGGER_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A OUTRIGGER_OUTPUT -s 127.0.0.6/32 -o lo -p tcp -j RETURN
-A OUTRIGGER_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j OUTRIGGER_IN_REDIRECT
-A OUTRIGGER_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --gid-owner 1337 -j OUTRIGGER_IN_REDIRECT
-A OUTRIGGER_OUTPUT -o lo -p tcp -j RETURN
-A OUTRIGGER_OUTPUT -p tcp -m owner --uid-owner 1337 -j RETURN
-A OUTRIGGER_OUTPUT -p tcp -m owner --gid-owner 1337 -j RETURN
-A OUTRIGGER_OUTPUT -d 127.0.0.1/32 -p tcp -j RETURN
-A OUTRIGGER_OUTPUT -p tcp -j OUTRIGGER_REDIRECT
-A OUTRIGGER_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A PREROUTING -p tcp -j OUTRIGGER_INBOUND
-A OUTPUT -p tcp -j OUTRIGGER_OUTPUT
COMMIT
`;

describe('the plan of a redirect', () => {
  it('captures everything but the proxy by default', () => {
    expect(renderPlan(planRedirect(settingsOf(), 'ipv4'))).toBe(PLAIN);
    const ipv6 = PLAIN.replaceAll('127.0.0.1/32', '::1/128').replaceAll('127.0.0.6/32', '::6/128');
    expect(renderPlan(planRedirect(settingsOf(), 'ipv6'))).toBe(ipv6);
  });

  const lastOutput = (flags: Flags, family: Family = 'ipv4'): readonly string[] => {
    const rules = rulesOf('OUTPUT', flags, family);
    return rules.slice(rules.findIndex((rule) => /^-d (127.0.0.1|::1)/.test(rule)) + 1);
  };
  it.each<{ readonly says: string; readonly found: readonly string[]; readonly expected: readonly string[] }>([
    {
      says: 'takes only the inbound ports named, ranges too, less the excluded ones',
      found: rulesOf('INBOUND', { inboundPorts: '80, 8000-8100,80', excludeInboundPorts: '8080' }),
      expected: [
        '-p tcp -m tcp --dport 8080 -j RETURN',
        '-p tcp -m tcp --dport 80 -j IN_REDIRECT',
        '-p tcp -m tcp --dport 8000:8100 -j IN_REDIRECT',
      ],
    },
    {
      says: 'has other ports of the sidecar',
      found: [...rulesOf('REDIRECT', { proxyPort: '16001' }), ...rulesOf('IN_REDIRECT', { inboundPort: '16006' })],
      expected: ['-p tcp -j REDIRECT --to-ports 16001', '-p tcp -j REDIRECT --to-ports 16006'],
    },
    {
      says: 'takes only the destinations named, of the family, with host bits cleared',
      found: lastOutput({ outboundIpRanges: '10.1.2.3/8,fd00::1/8,192.0.2.7' }),
      expected: ['-d 10.0.0.0/8 -p tcp -j REDIRECT', '-d 192.0.2.7/32 -p tcp -j REDIRECT'],
    },
    {
      says: 'takes only the IPv6 destinations named',
      found: lastOutput({ outboundIpRanges: '10.0.0.0/8,FD00:0:0::1/20' }, 'ipv6'),
      expected: ['-d fd00::/20 -p tcp -j REDIRECT'],
    },
    { says: 'takes nothing outbound for an empty list', found: lastOutput({ outboundIpRanges: '' }), expected: [] },
    {
      says: 'takes a range of everything for everything',
      found: lastOutput({ outboundIpRanges: '0.0.0.0/0' }),
      expected: ['-p tcp -j REDIRECT'],
    },
    {
      says: 'leaves excluded destinations alone, and takes named ports beside the ranges',
      found: lastOutput({
        excludeOutboundIpRanges: '169.254.169.254',
        outboundPorts: '5432',
        outboundIpRanges: '10.0.0.0/8',
      }),
      expected: [
        '-d 169.254.169.254/32 -p tcp -j RETURN',
        '-p tcp -m tcp --dport 5432 -j REDIRECT',
        '-d 10.0.0.0/8 -p tcp -j REDIRECT',
      ],
    },
    {
      says: 'looks at excluded interfaces and ports first',
      found: rulesOf('OUTPUT', { excludeInterfaces: 'eth1', excludeOutboundPorts: '25,6000-6100' }).slice(0, 4),
      expected: [
        '-o eth1 -p tcp -j RETURN',
        '-p tcp -m tcp --dport 25 -j RETURN',
        '-p tcp -m tcp --dport 6000:6100 -j RETURN',
        '-s 127.0.0.6/32 -o lo -p tcp -j RETURN',
      ],
    },
    {
      says: 'exempts every user and group named',
      found: rulesOf('OUTPUT', { proxyUid: '1337,7', proxyGid: '' }),
      expected: [
        '-s 127.0.0.6/32 -o lo -p tcp -j RETURN',
        '! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j IN_REDIRECT',
        '! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 7 -j IN_REDIRECT',
        '-o lo -p tcp -j RETURN',
        '-p tcp -m owner --uid-owner 1337 -j RETURN',
        '-p tcp -m owner --uid-owner 7 -j RETURN',
        '-d 127.0.0.1/32 -p tcp -j RETURN',
        '-p tcp -j REDIRECT',
      ],
    },
    {
      says: "takes what a virtual machine's interface brings for outbound",
      found: rulesOf('INBOUND', { kubeVirtInterfaces: 'k6t0', excludeOutboundIpRanges: '10.9.0.0/16' }),
      expected: [
        '-d 10.9.0.0/16 -i k6t0 -p tcp -j RETURN',
        '-i k6t0 -p tcp -j REDIRECT',
        '-i k6t0 -p tcp -j RETURN',
        '-p tcp -m tcp --dport 15020 -j RETURN',
        '-p tcp -m tcp --dport 15021 -j RETURN',
        '-p tcp -m tcp --dport 15022 -j RETURN',
        '-p tcp -m tcp --dport 15090 -j RETURN',
        '-p tcp -j IN_REDIRECT',
      ],
    },
  ])('$says', ({ found, expected }) => {
    expect(found).toEqual(expected);
  });

  it('has no inbound half when no port is captured', () => {
    const plan = planRedirect(settingsOf({ inboundPorts: '' }), 'ipv4');
    expect(plan.chains).not.toContain('OUTRIGGER_INBOUND');
    expect(plan.jumps.map(renderRule)).toEqual(['-A OUTPUT -p tcp -j OUTRIGGER_OUTPUT']);
    expect(rulesOf('OUTPUT', { inboundPorts: '' }).filter((rule) => rule.includes('IN_REDIRECT'))).toEqual([]);
  });

  it.each<readonly [Readonly<Record<string, string | boolean>>, string]>([
    [{ mode: 'TPROXY' }, '--mode: TPROXY is not supported; write REDIRECT'],
    [{ redirectDns: true }, '--redirect-dns: DNS is not captured; leave the option away'],
    [{ proxyPort: '0' }, '--proxy-port: "0" is not a port; write 1 to 65535'],
    [{ inboundPorts: '80,90-80' }, '--inbound-ports: "90-80" is not a port; write 1 to 65535, or a range 8000-8100'],
    [{ outboundPorts: '65536' }, '--outbound-ports: "65536" is not a port; write 1 to 65535, or a range 8000-8100'],
    [
      { outboundIpRanges: '10.0.0.0/33' },
      '--outbound-ip-ranges: "10.0.0.0/33" is not a range; write 10.0.0.0/8 or fd00::/8',
    ],
    [
      { excludeOutboundIpRanges: 'a.test' },
      '--exclude-outbound-ip-ranges: "a.test" is not a range; write 10.0.0.0/8 or fd00::/8',
    ],
    [{ excludeInterfaces: 'a b' }, '--exclude-interfaces: "a b" is not an interface; write a name such as eth1'],
    [{ proxyUid: 'root' }, '--proxy-uid: "root" is not a numeric id; write a number such as 1337'],
    [
      { proxyUid: '', proxyGid: '' },
      "--proxy-uid: without it the sidecar's own connections would come back to it; write 1337",
    ],
    [{ family: 'ipv5' }, '--family: "ipv5" is unknown; write auto or ipv4 or ipv6 or both'],
  ])('refuses %j', (flags, mistake) => {
    expect(readRedirectFlags({ ...DEFAULTS, ...flags })).toEqual([mistake]);
  });
});

describe('what is in force', () => {
  const plan = planRedirect(settingsOf(), 'ipv4');
  const foreign = [
    '-A PREROUTING -i eth0 -j FOREIGN',
    '-A OUTPUT -m comment --comment "x -j OUTRIGGER_OUTPUT" -j FOREIGN',
    '-A FOREIGN -j RETURN',
  ];
  /** As iptables-save prints it, with rules of others in front. */
  const saved = (chains: readonly string[], rules: readonly string[]): string =>
    ['# Generated', '*filter', ':OUTRIGGER_INBOUND - [0:0]', '-A OUTRIGGER_INBOUND -j DROP', 'COMMIT', '*nat']
      .concat([':PREROUTING ACCEPT [7:420]', ':FOREIGN - [0:0]'])
      .concat(chains.map((chain) => `:${chain} - [0:0]`))
      .concat(foreign, rules, ['COMMIT', '# Completed', ''])
      .join('\n');
  const rules = plan.rules.map(renderRule);
  const jumps = plan.jumps.map(renderRule);

  it('is the plan when nothing differs, whatever others have', () => {
    const live = readLiveRules(saved(plan.chains, [...jumps, ...rules]));
    expect(differencesOf(plan, live)).toEqual([]);
    expect(installScript(plan, live)).toBeNull();
  });

  const swapped = rules.map((rule, index) => rules[index === 5 ? 7 : index === 7 ? 5 : index] ?? rule);
  it.each<{
    readonly says: string;
    readonly chains?: readonly string[];
    readonly live: readonly string[];
    readonly told: readonly string[];
  }>([
    {
      says: 'everything missing',
      chains: [],
      live: [],
      told: [
        ...plan.chains.map((chain) => `missing chain: ${chain}`),
        ...[...jumps, ...rules].map((rule) => `missing: ${rule}`),
      ],
    },
    { says: 'a missing jump', live: [jumps[0] ?? '', ...rules], told: [`missing: ${jumps[1]}`] },
    { says: 'a repeated jump', live: [...jumps, ...jumps.slice(0, 1), ...rules], told: [`repeated: ${jumps[0]}`] },
    {
      says: 'a jump of somebody else into ours',
      live: [...jumps, '-A FOREIGN -j OUTRIGGER_REDIRECT', ...rules],
      told: ['unexpected: -A FOREIGN -j OUTRIGGER_REDIRECT'],
    },
    {
      says: 'a foreign rule in our chain',
      live: [...jumps, ...rules, '-A OUTRIGGER_OUTPUT -p tcp -j ACCEPT'],
      told: ['unexpected: -A OUTRIGGER_OUTPUT -p tcp -j ACCEPT'],
    },
    { says: 'another order', live: [...jumps, ...swapped], told: ['wrong order: OUTRIGGER_OUTPUT'] },
  ])('differs by $says, and is brought back', ({ chains = plan.chains, live: lines, told }) => {
    const live = readLiveRules(saved(chains, lines));
    expect(differencesOf(plan, live).map(describeDifference)).toEqual(told);
    const script = installScript(plan, live) ?? '';
    expect(applied(script, chains, [...foreign, ...lines]).toSorted()).toEqual(
      [...foreign, ...jumps, ...rules].toSorted(),
    );
  });

  it('gives up a chain that other options need no more', () => {
    const less = planRedirect(settingsOf({ inboundPorts: '' }), 'ipv4');
    const script = installScript(less, readLiveRules(saved(plan.chains, [...jumps, ...rules]))) ?? '';
    expect(script).toContain('-D PREROUTING -p tcp -j OUTRIGGER_INBOUND\n');
    expect(script).toContain('-F OUTRIGGER_INBOUND\n-X OUTRIGGER_INBOUND\nCOMMIT\n');
  });

  it('is taken away without a word about what others have', () => {
    const script = removeScript(readLiveRules(saved(plan.chains, [...jumps, ...rules]))) ?? '';
    expect(applied(script, plan.chains, [...foreign, ...jumps, ...rules])).toEqual(foreign);
    expect(script).not.toContain('FOREIGN');
    expect(removeScript(readLiveRules(saved([], [])))).toBeNull();
  });
});

/** What iptables-restore --noflush makes of the rules. */
function applied(script: string, chains: readonly string[], before: readonly string[]): readonly string[] {
  const known = new Set(chains);
  let rules = [...before];
  for (const line of script.split('\n')) {
    const [verb = '', chain = ''] = line.split(' ');
    const name = verb.startsWith(':') ? verb.slice(1) : chain;
    if (verb.startsWith(':') || verb === '-F') rules = rules.filter((rule) => !rule.startsWith(`-A ${name} `));
    if (verb.startsWith(':')) known.add(name);
    if (verb === '-A') rules.push(line);
    if (verb === '-D') rules.splice(rules.indexOf(line.replace('-D', '-A')), 1);
    if (verb !== '-X') continue;
    // The kernel refuses to drop a chain that is used.
    expect(rules.filter((rule) => rule.endsWith(`-j ${name}`) && !known.has(rule.split(' ')[1] ?? ''))).toEqual([]);
    known.delete(name);
  }
  return rules;
}

const launcher = join(import.meta.dirname, '..', '..', '..', 'bin', 'outrigger.js');

function run(...args: readonly string[]): { readonly status: number | null; readonly stdout: string } {
  const { status, stdout } = spawnSync(process.execPath, [launcher, 'redirect', ...args], { encoding: 'utf8' });
  return { status, stdout };
}

test('print shows both families in the format of iptables-restore', () => {
  const ipv6 = PLAIN.replaceAll('127.0.0.1/32', '::1/128').replaceAll('127.0.0.6/32', '::6/128');
  const stdout = `# iptables-restore --noflush\n${PLAIN}# ip6tables-restore --noflush\n${ipv6}`;
  expect(run('print')).toEqual({ status: 0, stdout });
});

test('print shows JSON for programs', () => {
  const { stdout } = run('print', '--output', 'json', '--family', 'ipv4', '-b', '');
  expect(JSON.parse(stdout)).toMatchObject({ ipv4: { jumps: ['-A OUTPUT -p tcp -j OUTRIGGER_OUTPUT'] } });
});

test.each([[['print', '--mode', 'TPROXY']], [['nonsense']], [['verify', '--proxy-port', 'x']]])(
  '%j is wrong usage',
  (args) => {
    expect(run(...args)).toEqual({ status: 64, stdout: '' });
  },
);

test('a reader that stops reading is no error', () => {
  const launcher = join(import.meta.dirname, '../../../bin/outrigger.js');
  const script = '{ "$0" "$1" redirect print; echo "exit $?" >&2; } | true';
  const { stderr } = spawnSync('sh', ['-c', script, process.execPath, launcher], { encoding: 'utf8' });
  expect(stderr).toBe('exit 0\n');
});

test.each([
  ['ipv4', '127.0.0.1/32'],
  ['ipv6', '::1'],
])('an excluded loopback address is no second rule in %s', (family, range) => {
  expect(run('print', '--family', family, '-x', range)).toEqual(run('print', '--family', family));
});

test('port 0 is refused', () => {
  expect(run('print', '-b', '0,80').status).toBe(64);
});
