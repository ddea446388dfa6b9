// Commands that read metadata. A route and its virtual host keep theirs as configured, an exchange what filters
// found out (`%DYNAMIC_METADATA(namespace:key:key)%`); a cluster and an endpoint keep the strings of theirs, by
// `namespace.key`, or by the key alone; other metadata is absent.
import type { JsonValue } from '@bufbuild/protobuf';
import { error } from '../base/problem.ts';
import { readMetadata, valueAt } from './dynamic-metadata.ts';
import type { Exchange } from './exchange.ts';
import type { Command } from './format-operators.ts';
import type { FilterMetadata } from './plan.ts';
import { wireText } from './wire-text.ts';

type Read = (x: Exchange) => string | number | null;

const TYPES: ReadonlySet<string> = new Set([
  'DYNAMIC',
  'CLUSTER',
  'ROUTE',
  'UPSTREAM_HOST',
  'LISTENER',
  'LISTENER_FILTER_CHAIN',
  'VIRTUAL_HOST',
]);

/** Null for a command of another kind, or after reporting a refused argument. */
export function compileMetadataCommand(command: Command): Read | null {
  const keys = keysOf(command.argument ?? '');
  switch (command.name) {
    case 'DYNAMIC_METADATA':
      return compileLookup('DYNAMIC', keys, command);
    case 'CLUSTER_METADATA':
      return compileLookup('CLUSTER', keys, command);
    case 'UPSTREAM_METADATA':
      return compileLookup('UPSTREAM_HOST', keys, command);
    case 'METADATA': {
      const [type = '', ...rest] = keys;
      if (TYPES.has(type)) return compileLookup(type, rest, command);
      command.problems.push(
        error(command.path, `%METADATA% begins with one of ${[...TYPES].join(', ')}, not '${type}'`),
      );
      return null;
    }
    default:
      return null;
  }
}

/** `namespace:key:key`, or the older `["namespace", "key"]`. */
function keysOf(argument: string): readonly string[] {
  if (!argument.startsWith('[')) return argument.split(':');
  return argument
    .slice(1, argument.endsWith(']') ? -1 : undefined)
    .split(',')
    .map((key) => key.trim().replace(/^"|"$/g, ''));
}

function compileLookup(type: string, keys: readonly string[], command: Command): Read | null {
  if (keys.length === 0 || keys[0] === '') {
    command.problems.push(error(command.path, `%${command.name}% needs a namespace`));
    return null;
  }
  const full = keys.join('.');
  const short = keys.slice(1).join('.');
  const find = (metadata: ReadonlyMap<string, string>): string | null => {
    const value = metadata.get(full) ?? metadata.get(short);
    return value === undefined ? null : wireText(value);
  };
  if (type === 'CLUSTER')
    return (x) => (x.cluster === null || x.cluster.cluster === null ? null : find(x.cluster.cluster.metadata));
  if (type === 'UPSTREAM_HOST') return (x) => (x.endpoint === null ? null : find(x.endpoint.metadata));
  if (type === 'ROUTE') return (x) => (x.plan?.metadata === undefined ? null : textAt(x.plan.metadata.route, keys));
  if (type === 'VIRTUAL_HOST')
    return (x) => (x.plan?.metadata === undefined ? null : textAt(x.plan.metadata.virtualHost, keys));
  if (type === 'DYNAMIC') {
    const [namespace = '', ...inner] = keys;
    return (x) => {
      const value = readMetadata(x, namespace, inner);
      return typeof value === 'number' ? value : textOf(value);
    };
  }
  return () => null;
}

function textAt(metadata: FilterMetadata, keys: readonly string[]): string | null {
  return textOf(valueAt(metadata, keys));
}

/** A string as it is, anything else as JSON; null when nothing stands there. */
function textOf(value: JsonValue | undefined): string | null {
  if (value === undefined || value === null) return null;
  return wireText(typeof value === 'string' ? value : JSON.stringify(value));
}
