// Faults as Envoy's filter injects them: who is chosen, what wins, and what the client sees.
import type { CaseTable, PeerCase } from '../peer-case.ts';

const at = (name: string, target: string, is: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  ...rest,
});
const GRPC = 'content-type: application/grpc';

export const FAULT_CASES: CaseTable = {
  faults: [
    at('nothing is said of the route, and the filter does not match', '/a', '200 a'),
    at('the filter itself matches', '/a', '501', { headers: ['x-filter: 1'] }),
    at('no route takes it, the filter matches', '/zzz', '501', { headers: ['x-filter: 1'] }),
    at('the host wins over the filter', '/x', '520', { host: 'host.test' }),
    at('the route wins over the host', '/route', '521', { host: 'host.test' }),
    at('the route switches the filter off', '/off', '200 a', { host: 'host.test', headers: ['x-filter: 1'] }),
    at('the split entry wins over the host', '/split', '522', { host: 'host.test', headers: ['x-split: 1'] }),
    at('another split entry has what the host says', '/split', '520', { host: 'host.test', headers: ['x-split: 99'] }),
    at('the route switches a filter on', '/on', '502'),
    at('settings of the route switch a filter on', '/other', '503'),
    at('a delay, which the timeout of the route does not count', '/delay', '200 a'),
    at('a delay, with a body', '/delay', '200 a', { send: 'POST /delay', body: 'abc' }),
    at('a delay, with a chunked body', '/delay', '200 a', { send: 'POST /delay', chunks: ['abc', 'def'] }),
    at('a delay and then an abort', '/both', '418'),
    at('a delay and then an abort, with a body', '/both', '418', { send: 'POST /both', body: 'abc' }),
    at('no percentage is never', '/never', '200 a'),
    at('a gRPC status for a gRPC request', '/grpc', '200', { send: 'POST /grpc', headers: [GRPC] }),
    at('a gRPC status for another request', '/grpc', '200'),
    at('an HTTP status for a gRPC request', '/cluster', '200', { send: 'POST /cluster', headers: [GRPC] }),
    at('HEAD', '/cluster', '530', { send: 'HEAD /cluster' }),
    at('the upstream cluster', '/cluster', '530'),
    at('another upstream cluster', '/cluster/other', '200 a'),
    at('a cluster that does not exist', '/missing', '531', { headers: ['x-none: zzz'] }),
    at('a cluster that does not exist, without a fault', '/missing/passed', '503', { headers: ['x-none: zzz'] }),
    at('a header that names no cluster, without a fault', '/missing/passed', '503'),
    at('a direct response', '/direct', '532'),
    at('a redirect', '/redirect', '533'),
    at('a listed node', '/nodes', '534', { headers: ['x-envoy-downstream-service-node: n2'] }),
    at('a node that is not listed', '/nodes', '200 a', { headers: ['x-envoy-downstream-service-node: n3'] }),
    at('no node', '/nodes', '200 a'),
    at('all headers match', '/headers', '535', { headers: ['x-one: a', 'x-two: b'] }),
    at('one header does not match', '/headers', '200 a', { headers: ['x-one: a'] }),
    at('the request asks for nothing', '/by-header', '200 a'),
    at('the request asks for a delay', '/by-header', '200 a', { headers: ['x-envoy-fault-delay-request: 10'] }),
    at('the request asks for no delay', '/by-header', '200 a', { headers: ['x-envoy-fault-delay-request: 0'] }),
    at('the request asks for nonsense', '/by-header', '200 a', {
      headers: ['x-envoy-fault-delay-request: soon', 'x-envoy-fault-abort-request: 99'],
    }),
    at('the request asks for an abort', '/by-header', '429', { headers: ['x-envoy-fault-abort-request: 429'] }),
    at('the request asks for an abort of no share', '/by-header', '200 a', {
      headers: ['x-envoy-fault-abort-request: 429', 'x-envoy-fault-abort-request-percentage: 0'],
    }),
    at('the request asks for a larger share than there is', '/by-header', '429', {
      headers: ['x-envoy-fault-abort-request: 429', 'x-envoy-fault-abort-request-percentage: 500'],
    }),
    at('the request asks for a gRPC status', '/by-header', '200', {
      send: 'POST /by-header',
      headers: [GRPC, 'x-envoy-fault-abort-grpc-request: 5'],
    }),
    at('the request asks for both', '/by-header', '503', {
      headers: ['x-envoy-fault-abort-request: 503', 'x-envoy-fault-delay-request: 10'],
    }),
    at('runtime keys win', '/runtime', '512'),
    at('a runtime key says never', '/runtime/never', '200 a'),
    at('no fault may be active', '/full', '200 a'),
    at('the runtime knows the downstream cluster', '/known', '513', {
      headers: ['x-envoy-downstream-service-cluster: known'],
    }),
    at('the runtime knows it also where it is not counted by', '/unknown', '513', {
      headers: ['x-envoy-downstream-service-cluster: known'],
    }),
  ],
};
