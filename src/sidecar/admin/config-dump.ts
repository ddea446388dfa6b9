// `/config_dump`: every resource as it was received, in Envoy's ConfigDump shape and order, which is
// what istioctl, egctl and Kiali read. `resource` picks one repeated field of a section, `mask` and
// `name_regex` narrow it.
import { json, text, type AdminEndpoint } from './endpoint.ts';
import { dumpSections, type Dump, type DumpValue } from './dump-sections.ts';
import { nameFilter } from './name-filter.ts';

export const configDump: AdminEndpoint = {
  path: '/config_dump',
  isPostOnly: false,
  help: 'dump current configs',
  parameters: [
    ['resource', 'the repeated field to dump, for example dynamic_active_clusters'],
    ['mask', 'field paths to keep, separated by commas; with resource, applied to each element'],
    ['name_regex', 'RE2 expression for the names of the resources'],
    ['include_eds', 'dump the endpoints too'],
  ],
  answer: ({ source, query }) => {
    const filter = nameFilter(query.get('name_regex'));
    if (filter.kind === 'refused') return filter.answer;
    const resource = query.get('resource') ?? '';
    const mask = (query.get('mask') ?? '').split(',').filter((path) => path !== '');
    const isEdsIncluded = query.has('include_eds') || resource.endsWith('_endpoint_configs');
    const sections = dumpSections(source, { isEdsIncluded, acceptsName: filter.accepts });
    if (resource === '') return json({ configs: sections.map((section) => applyMask(section, mask)) });
    for (const section of sections) {
      const elements = section[resource];
      if (!Array.isArray(elements)) continue;
      const { '@type': parent } = section;
      const type = `${typeof parent === 'string' ? parent : ''}.${ELEMENT_TYPES.get(resource) ?? ''}`;
      const configs = elements.map((element) => ({ '@type': type, ...applyMaskTo(element, mask) }));
      return json(configs.length === 0 ? {} : { configs });
    }
    if (ELEMENT_TYPES.has(resource)) return json({});
    return text(`${resource} not found in config dump\n`, 404);
  },
};

/** The message types inside the repeated fields of the sections. */
const ELEMENT_TYPES: ReadonlyMap<string, string> = new Map([
  ['static_clusters', 'StaticCluster'],
  ['dynamic_active_clusters', 'DynamicCluster'],
  ['dynamic_warming_clusters', 'DynamicCluster'],
  ['static_listeners', 'StaticListener'],
  ['dynamic_listeners', 'DynamicListener'],
  ['static_route_configs', 'StaticRouteConfig'],
  ['dynamic_route_configs', 'DynamicRouteConfig'],
  ['static_endpoint_configs', 'StaticEndpointConfig'],
  ['dynamic_endpoint_configs', 'DynamicEndpointConfig'],
  ['static_secrets', 'StaticSecret'],
  ['dynamic_active_secrets', 'DynamicSecret'],
  ['dynamic_warming_secrets', 'DynamicSecret'],
]);

function applyMaskTo(element: DumpValue, mask: readonly string[]): Dump {
  return isDump(element) ? applyMask(element, mask) : {};
}

/** Keeps the fields that a path of the mask names, with the `@type` beside them. */
function applyMask(dump: Dump, mask: readonly string[]): Dump {
  if (mask.length === 0) return dump;
  const kept: Record<string, DumpValue> = {};
  for (const [key, value] of Object.entries(dump)) {
    if (key === '@type') kept[key] = value;
    else if (mask.includes(key)) kept[key] = value;
    else {
      const inner = mask.filter((path) => path.startsWith(`${key}.`)).map((path) => path.slice(key.length + 1));
      if (inner.length === 0) continue;
      if (isDump(value)) kept[key] = applyMask(value, inner);
      else if (Array.isArray(value)) kept[key] = value.map((one) => (isDump(one) ? applyMask(one, inner) : one));
    }
  }
  return kept;
}

function isDump(value: DumpValue): value is Dump {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
