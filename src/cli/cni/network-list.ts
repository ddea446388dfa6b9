// The configuration of a node's pod network (CNI spec 1.1, section 1) with our plugin at the end of its chain, and without it.
// Nothing else in it is changed; a configuration of one plugin becomes a list. Text in, text out.
import { isJsonRecord, listOf, textOf, type JsonRecord } from '../../kube/json-record.ts';
import { CNI_VERSIONS } from './network-config.ts';

export const PLUGIN_TYPE = 'outrigger-cni';

export type ListedNetwork =
  | { readonly kind: 'done'; readonly text: string; readonly isChanged: boolean }
  | { readonly kind: 'refused'; readonly reason: string };

export function withPlugin(text: string, settings: JsonRecord): ListedNetwork {
  const network = parsed(text);
  if (typeof network === 'string') return { kind: 'refused', reason: network };
  const version = textOf(network['cniVersion']);
  if (!CNI_VERSIONS.includes(version))
    return {
      kind: 'refused',
      reason: `cniVersion "${version}" cannot chain this plugin: it takes one of ${CNI_VERSIONS.join(', ')}`,
    };
  const plugin = { type: PLUGIN_TYPE, ...settings };
  const isList = Array.isArray(network['plugins']);
  const before = isList ? listOf(network['plugins']) : [];
  if (isList && JSON.stringify(before.filter(isOurs)) === JSON.stringify([plugin]) && isOurs(before.at(-1)))
    return { kind: 'done', text, isChanged: false };
  const others = isList ? before.filter((one) => !isOurs(one)) : [aloneOf(network)];
  if (others.length === 0) return { kind: 'refused', reason: 'it has no plugin that makes a network' };
  const head = isList ? network : { cniVersion: version, name: network['name'] };
  return {
    kind: 'done',
    text: `${JSON.stringify({ ...head, plugins: [...others, plugin] }, null, 2)}\n`,
    isChanged: true,
  };
}

export function withoutPlugin(text: string): ListedNetwork {
  const network = parsed(text);
  if (typeof network === 'string') return { kind: 'refused', reason: network };
  const plugins = listOf(network['plugins']);
  if (!plugins.some(isOurs)) return { kind: 'done', text, isChanged: false };
  const others = plugins.filter((one) => !isOurs(one));
  return { kind: 'done', text: `${JSON.stringify({ ...network, plugins: others }, null, 2)}\n`, isChanged: true };
}

/** In a list, the name and the version stand outside. */
function aloneOf(network: JsonRecord): JsonRecord {
  return Object.fromEntries(Object.entries(network).filter(([name]) => name !== 'cniVersion' && name !== 'name'));
}

function isOurs(plugin: unknown): boolean {
  return isJsonRecord(plugin) && plugin['type'] === PLUGIN_TYPE;
}

/** A text says what is wrong. */
function parsed(text: string): JsonRecord | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'it is no JSON';
  }
  if (!isJsonRecord(value)) return 'it is no JSON object';
  if (textOf(value['name']) === '') return 'it has no name';
  if (value['plugins'] !== undefined && !Array.isArray(value['plugins'])) return 'its plugins are no list';
  return Array.isArray(value['plugins']) || textOf(value['type']) !== '' ? value : 'it names no plugin';
}
