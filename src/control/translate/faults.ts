// The faults of a VirtualService rule. An Envoy gets them for its own filter, which stands before the router, as Istio
// has it; our sidecar injects them into each attempt, so that retries and timeouts see them.
import { create } from '@bufbuild/protobuf';
import { FaultDelaySchema } from '../../xds/gen/envoy/extensions/filters/common/fault/v3/fault_pb.js';
import { FaultAbortSchema, HTTPFaultSchema } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { HttpFilterSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { HttpFilter } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Route } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Fault } from '../../config/http-faults.ts';
import type { MeshNode } from '../mesh-node.ts';
import { duration, fraction, pack } from './proto.ts';

type Able = Pick<MeshNode, 'abilities'>;

/** The filter, without faults of its own: routes bring them. */
export function faultFilter(node: Able): HttpFilter {
  return create(HttpFilterSchema, {
    name: filterName(node),
    configType: { case: 'typedConfig', value: pack(HTTPFaultSchema, create(HTTPFaultSchema)) },
  });
}

/** Has `route` inject `fault`; one that never hits is left out. */
export function addFault(route: Route, fault: Fault, node: Able): void {
  const { delay, abort } = fault;
  if (delay === null && abort === null) return;
  const made = create(HTTPFaultSchema);
  if (delay !== null && delay.fixedMs > 0) {
    made.delay = create(FaultDelaySchema, {
      faultDelaySecifier: { case: 'fixedDelay', value: duration(delay.fixedMs) },
      percentage: fraction(delay.percent),
    });
  }
  if (abort !== null) {
    made.abort = create(FaultAbortSchema, {
      errorType:
        abort.grpcStatus === null
          ? { case: 'httpStatus', value: abort.status }
          : { case: 'grpcStatus', value: abort.grpcStatus },
      percentage: fraction(abort.percent),
    });
  }
  route.typedPerFilterConfig[filterName(node)] = pack(HTTPFaultSchema, made);
}

function filterName({ abilities }: Able): string {
  return abilities.ownFilters ? 'outrigger.fault' : 'envoy.filters.http.fault';
}
