// Builders of resources, views and view sources for tests of the discovery protocol.
import { create, type JsonObject } from '@bufbuild/protobuf';

import type { NodeInfo, View, ViewListener, ViewSource } from '../../src/control/flow.ts';
import { ClusterSchema, Cluster_DiscoveryType } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { NodeSchema, type Node } from '../../src/xds/gen/envoy/config/core/v3/base_pb.js';
import { ClusterLoadAssignmentSchema } from '../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '../../src/xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { encodeResource, resourceView, type EncodedResource } from '../../src/xds/resource.ts';

/** A cluster whose content differs by `salt`. */
export function aCluster(name: string, salt = ''): EncodedResource {
  const type = { case: 'type', value: Cluster_DiscoveryType.EDS } as const;
  const edsConfig = { configSourceSpecifier: { case: 'ads', value: {} } } as const;
  const clusterDiscoveryType = type;
  const message = create(ClusterSchema, {
    name,
    altStatName: salt,
    clusterDiscoveryType,
    edsClusterConfig: { edsConfig },
  });
  return encodeResource(ClusterSchema, name, message);
}

/** The endpoints of a cluster: one on 127.0.0.1 per port. */
export function anAssignment(name: string, ...ports: number[]): EncodedResource {
  const lbEndpoints = ports.map((port) => ({
    hostIdentifier: { case: 'endpoint', value: { address: socketAddress(port) } } as const,
  }));
  const message = create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: [{ lbEndpoints }] });
  return encodeResource(ClusterLoadAssignmentSchema, name, message);
}

export function aListener(name: string, salt = ''): EncodedResource {
  return encodeResource(ListenerSchema, name, create(ListenerSchema, { name, statPrefix: salt }));
}

export function aRoutes(name: string, salt = ''): EncodedResource {
  const message = create(RouteConfigurationSchema, { name, virtualHosts: [{ name: salt, domains: ['*'] }] });
  return encodeResource(RouteConfigurationSchema, name, message);
}

export function aHost(name: string, salt = ''): EncodedResource {
  return {
    ...encodeResource(VirtualHostSchema, name, create(VirtualHostSchema, { name: salt, domains: ['h'] })),
    name,
  };
}

export function aNode(id = 'sidecar~127.0.0.1~a.default~default.svc.cluster.local', metadata: JsonObject = {}): Node {
  return create(NodeSchema, { id, cluster: 'a.default', metadata });
}

export function socketAddress(port: number) {
  return {
    address: {
      case: 'socketAddress',
      value: { address: '127.0.0.1', portSpecifier: { case: 'portValue', value: port } },
    },
  } as const;
}

/** A view source that shows every node the same, and whose view a test replaces. */
export class OneView implements ViewSource {
  readonly opened: NodeInfo[] = [];
  closed = 0;
  /** Non-empty: every node is refused with it. */
  refusal = '';
  readonly #listeners = new Set<ViewListener>();
  #view: View | null;
  #sequence = 0;

  constructor(...resources: EncodedResource[]) {
    this.#view = this.#make(resources);
  }

  get listening(): number {
    return this.#listeners.size;
  }

  open(node: NodeInfo, listener: ViewListener): ReturnType<ViewSource['open']> {
    if (this.refusal !== '') return { kind: 'refused', message: this.refusal };
    this.opened.push(node);
    this.#listeners.add(listener);
    const close = (): void => {
      if (this.#listeners.delete(listener)) this.closed++;
    };
    return { kind: 'open', subscription: { view: this.#view, noteReturned: () => {}, use: () => null, close } };
  }

  /** Nodes that open now are shown nothing until the next `show`. */
  hide(): void {
    this.#view = null;
  }

  show(...resources: EncodedResource[]): void {
    this.#view = this.#make(resources);
    for (const listener of this.#listeners) listener(this.#view);
  }

  #make(resources: readonly EncodedResource[]): View {
    return { sequence: ++this.#sequence, ...resourceView(resources) };
  }
}
