// The parts of a sidecar's `/config_dump` and `/clusters` (Envoy's shapes) that people ask for, and a table of each. What a
// dump does not have, as that of an older sidecar or of an Envoy, is left out and never a failure.
import { assertNever } from '../../base/assert.ts';
import { listOf, numberOf, recordOf, textOf, type JsonRecord } from '../../kube/json-record.ts';

export const DUMP_PARTS = ['clusters', 'listeners', 'routes', 'endpoints', 'secrets'] as const;
export type DumpPart = (typeof DUMP_PARTS)[number];

export interface DumpPages {
  readonly dump: unknown;
  readonly clusters: unknown;
}

interface Table {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const LISTS: Readonly<Record<Exclude<DumpPart, 'endpoints'>, readonly string[]>> = {
  clusters: ['static_clusters', 'dynamic_active_clusters', 'dynamic_warming_clusters'],
  listeners: ['static_listeners', 'dynamic_listeners'],
  routes: ['static_route_configs', 'dynamic_route_configs'],
  secrets: ['static_secrets', 'dynamic_active_secrets', 'dynamic_warming_secrets'],
};

/** Its entries, as the sidecar gave them. */
export function partOf(part: DumpPart, { dump, clusters }: DumpPages): readonly unknown[] {
  if (part === 'endpoints') return listOf(recordOf(clusters)['cluster_statuses']);
  return listOf(recordOf(dump)['configs']).flatMap((section) =>
    LISTS[part].flatMap((list) => listOf(recordOf(section)[list])),
  );
}

export function tableOf(part: DumpPart, entries: readonly unknown[]): Table {
  const records = entries.map(recordOf);
  switch (part) {
    case 'clusters':
      return { headings: ['CLUSTER', 'TYPE', 'VERSION'], rows: records.map(clusterRow) };
    case 'listeners':
      return { headings: ['LISTENER', 'ADDRESS', 'CHAINS', 'VERSION'], rows: records.map(listenerRow) };
    case 'routes':
      return { headings: ['ROUTES', 'HOST', 'MATCH', 'TO'], rows: records.flatMap(routeRows) };
    case 'endpoints':
      return { headings: ['ENDPOINT', 'HEALTH', 'CLUSTER'], rows: records.flatMap(endpointRows) };
    case 'secrets':
      return { headings: ['SECRET', 'TYPE', 'VERSION'], rows: records.map(secretRow) };
    default:
      return assertNever(part);
  }
}

function clusterRow(entry: JsonRecord): readonly string[] {
  const cluster = recordOf(entry['cluster']);
  const type = textOf(cluster['type']) || textOf(recordOf(cluster['cluster_type'])['name']) || 'STATIC';
  return [textOf(cluster['name']), type, versionOf(entry)];
}

function listenerRow(entry: JsonRecord): readonly string[] {
  const state = recordOf(entry['active_state'] ?? entry['warming_state'] ?? entry);
  const listener = recordOf(state['listener']);
  const chains = listOf(listener['filter_chains']).length + (listener['default_filter_chain'] === undefined ? 0 : 1);
  return [
    textOf(listener['name']) || textOf(entry['name']),
    addressOf(listener['address']),
    `${chains}`,
    versionOf(state),
  ];
}

function routeRows(entry: JsonRecord): readonly (readonly string[])[] {
  const config = recordOf(entry['route_config']);
  return listOf(config['virtual_hosts']).flatMap((host) => {
    const { domains, routes } = recordOf(host);
    const names = listOf(domains).map(textOf);
    const shown = names.length > 1 ? `${names[0]} +${names.length - 1}` : (names[0] ?? '');
    return listOf(routes).map((route) => [
      textOf(config['name']),
      shown,
      matchOf(recordOf(route)),
      targetOf(recordOf(route)),
    ]);
  });
}

function matchOf({ match }: JsonRecord): string {
  const {
    prefix,
    path,
    path_separated_prefix: folder,
    safe_regex: regex,
    headers,
    query_parameters: query,
  } = recordOf(match);
  const where =
    textOf(path) ||
    (textOf(folder) && `${textOf(folder)}/`) ||
    textOf(recordOf(regex)['regex']) ||
    `${textOf(prefix) || '/'}*`;
  const more = listOf(headers).length + listOf(query).length;
  return more === 0 ? where : `${where} and ${more} more`;
}

function targetOf(route: JsonRecord): string {
  const { redirect, direct_response: reply } = route;
  if (redirect !== undefined) return 'a redirect';
  if (reply !== undefined) return `a reply ${String(recordOf(reply)['status'])}`;
  const { cluster, weighted_clusters: weighted, cluster_header: header } = recordOf(route['route']);
  if (weighted === undefined) return textOf(cluster) || (textOf(header) && `what ${textOf(header)} names`) || '-';
  const parts = listOf(recordOf(weighted)['clusters']).map(recordOf);
  return parts.map(({ name, weight }) => `${textOf(name)} (${numberOf(weight)})`).join(', ');
}

function endpointRows(status: JsonRecord): readonly (readonly string[])[] {
  return listOf(status['host_statuses']).map((host) => {
    const { address, health_status: health } = recordOf(host);
    return [addressOf(address), healthOf(recordOf(health)), textOf(status['name'])];
  });
}

/** What is wrong with it, or what discovery says of it. */
function healthOf(health: JsonRecord): string {
  const failures = Object.keys(health).filter((name) => health[name] === true);
  return failures.length > 0 ? failures.join(' ') : textOf(health['eds_health_status']) || 'HEALTHY';
}

function secretRow(entry: JsonRecord): readonly string[] {
  const secret = recordOf(entry['secret']);
  const type = Object.keys(secret).find((key) => key !== 'name' && key !== '@type') ?? '-';
  return [textOf(entry['name']) || textOf(secret['name']), type, versionOf(entry)];
}

function addressOf(address: unknown): string {
  const { socket_address: socket, pipe } = recordOf(address);
  if (socket === undefined) return textOf(recordOf(pipe)['path']) || '-';
  const { address: ip, port_value: port } = recordOf(socket);
  return textOf(ip).includes(':') ? `[${textOf(ip)}]:${numberOf(port)}` : `${textOf(ip)}:${numberOf(port)}`;
}

function versionOf(entry: JsonRecord): string {
  return textOf(entry['version_info']) || '-';
}
