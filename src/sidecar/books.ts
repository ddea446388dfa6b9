// Everything that is configured, by kind of resource: what came, what was made of it, and what was refused. The
// proxy writes the books; the admin server and whoever dials a connection read them.
import type { Cluster } from '../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { ClusterLoadAssignment } from '../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Listener } from '../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from '../xds/gen/envoy/config/route/v3/route_pb.js';
import type { SecuredSettings } from './compile.ts';
import type { CompiledListener } from './compile-listener.ts';
import type { Book } from './snapshot.ts';

/** Everything that is configured, static and dynamic. */
export interface Books {
  readonly clusters: Book<Cluster, SecuredSettings>;
  readonly endpoints: Book<ClusterLoadAssignment, true>;
  readonly listeners: Book<Listener, CompiledListener>;
  readonly routes: Book<RouteConfiguration, true>;
}
