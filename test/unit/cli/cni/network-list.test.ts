// A node's network configuration with our plugin and without it: what was there stays, a second time changes nothing, taking
// it away gives back what was.
import { describe, expect, it } from 'vitest';
import { withoutPlugin, withPlugin } from '../../../../src/cli/cni/network-list.ts';

const SETTINGS = { kubeconfig: '/etc/cni/net.d/kubeconfig', excludeNamespaces: ['kube-system'] };
const OURS = { type: 'outrigger-cni', ...SETTINGS };
const BRIDGE = { type: 'bridge', ipam: { type: 'host-local', ranges: [[{ subnet: '10.0.0.0/24' }]] } };
const PORTMAP = { type: 'portmap', capabilities: { portMappings: true } };
const list = (...plugins: readonly object[]): object => ({
  cniVersion: '1.0.0',
  name: 'pods',
  disableCheck: true,
  plugins,
});

function added(network: unknown): unknown {
  const result = withPlugin(JSON.stringify(network), SETTINGS);
  if (result.kind === 'refused') return result.reason;
  expect(withPlugin(result.text, SETTINGS)).toEqual({ kind: 'done', text: result.text, isChanged: false });
  return JSON.parse(result.text);
}

describe('our plugin comes last', () => {
  it.each([
    { title: 'in a list', network: list(BRIDGE, PORTMAP), result: list(BRIDGE, PORTMAP, OURS) },
    {
      title: 'after a plugin alone',
      network: { cniVersion: '0.4.0', name: 'pods', ...BRIDGE },
      result: { cniVersion: '0.4.0', name: 'pods', plugins: [BRIDGE, OURS] },
    },
    {
      title: 'in place of one with other settings',
      network: list(BRIDGE, { ...OURS, kubeconfig: '/old' }),
      result: list(BRIDGE, OURS),
    },
    { title: 'when somebody came after it', network: list(BRIDGE, OURS, PORTMAP), result: list(BRIDGE, PORTMAP, OURS) },
    { title: 'once', network: list(BRIDGE, OURS, OURS), result: list(BRIDGE, OURS) },
  ])('$title', ({ network, result }) => {
    expect(added(network)).toEqual(result);
  });

  it.each([
    {
      title: 'a version before chains',
      network: { ...list(BRIDGE), cniVersion: '0.2.0' },
      reason: /^cniVersion "0.2.0"/,
    },
    { title: 'no version', network: { name: 'pods', ...BRIDGE }, reason: /^cniVersion ""/ },
    { title: 'no name', network: { cniVersion: '1.0.0', ...BRIDGE }, reason: /^it has no name$/ },
    { title: 'no plugin', network: list(), reason: /makes a network$/ },
    { title: 'no plugin but ours', network: list(OURS, OURS), reason: /makes a network$/ },
    { title: 'no type', network: { cniVersion: '1.0.0', name: 'pods' }, reason: /^it names no plugin$/ },
    { title: 'plugins that are no list', network: { ...list(), plugins: {} }, reason: /no list$/ },
    { title: 'a list', network: [], reason: /no JSON object$/ },
  ])('nowhere with $title', ({ network, reason }) => {
    expect(added(network)).toMatch(reason);
  });

  it('nowhere in what is no JSON', () => {
    expect(withPlugin('{', SETTINGS)).toEqual({ kind: 'refused', reason: 'it is no JSON' });
    expect(withoutPlugin('{')).toEqual({ kind: 'refused', reason: 'it is no JSON' });
  });
});

it('taken away, the rest is as it was', () => {
  const removed = withoutPlugin(JSON.stringify(list(BRIDGE, OURS, PORTMAP)));
  expect(removed.kind === 'done' && JSON.parse(removed.text)).toEqual(list(BRIDGE, PORTMAP));
  const text = JSON.stringify(list(BRIDGE));
  expect(withoutPlugin(text)).toEqual({ kind: 'done', text, isChanged: false });
});
