// The Extensions that hold for a workload, as HTTP filters of its managers: those of the mesh, of its namespace and of
// its selectors together, the higher priority first, then the older. Only our own sidecars run them; a real Envoy gets
// none.
import { create, fromJson } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import type { Extension } from '../../config/resource.ts';
import { HttpFilterSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { HttpFilter } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import type { Snapshot } from '../snapshot.ts';
import { policiesOf } from '../workload-policies.ts';
import { policyScopeOf } from '../workload-services.ts';
import { pack } from './proto.ts';

const PREFIX = 'outrigger.extension/';

/** `client`: requests of the workload's app; `server`: requests to it. */
export function extensionFilters(
  snapshot: Snapshot,
  node: MeshNode,
  direction: 'client' | 'server',
): readonly HttpFilter[] {
  const { extensions } = snapshot;
  if (extensions.length === 0 || !node.abilities.ownFilters) return [];
  const other = direction === 'client' ? 'Inbound' : 'Outbound';
  const held = policiesOf(extensions, node, policyScopeOf(snapshot, node))
    .map(({ policy }) => policy)
    .filter(({ spec }) => spec.direction !== other)
    .toSorted((left, right) => right.spec.priority - left.spec.priority);
  return held.map((extension, index) =>
    filterOf(extension, held.findIndex(({ meta }) => meta.name === extension.meta.name) < index),
  );
}

/** The root namespace may have one of the same name. */
function filterOf({ meta, spec }: Extension, isNamesake: boolean): HttpFilter {
  const { module, digest, config, failurePolicy, timeBudgetMs } = spec;
  const fields = {
    module,
    ...(digest === '' ? {} : { digest }),
    config,
    failurePolicy,
    ...(timeBudgetMs === null ? {} : { timeBudgetMs }),
  };
  return create(HttpFilterSchema, {
    name: `${PREFIX}${meta.name}${isNamesake ? `.${meta.namespace}` : ''}`,
    configType: { case: 'typedConfig', value: pack(StructSchema, fromJson(StructSchema, fields)) },
  });
}
