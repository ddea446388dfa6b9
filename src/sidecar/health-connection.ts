// How a health check reaches its endpoint: at the address that checks are for, over the transport socket that the
// cluster has for it, TLS with its secrets and PROXY header included. The newest settings hold for each connection.
import { isIP } from 'node:net';
import { Endpoint } from '../plan/cluster.ts';
import type { ProbeRequest } from '../resilience/health-checker.ts';
import { ClusterTransport } from './cluster-transport.ts';
import { dialEndpoint, type SecureTarget } from './dial-secure.ts';
import { dialSocket, type SocketUser } from './dial-socket.ts';
import type { Dial, DialUser } from './wire-dial.ts';

/** The Host that HTTP checks name, and whether somebody wrote it. */
export function hostOf({ cluster, endpoint, settings }: ProbeRequest): { readonly name: string; isGiven: boolean } {
  const { hostname } = cluster.checked.placeOf(endpoint);
  const configured = settings.probe.kind === 'http' ? settings.probe.host : '';
  const given = hostname === '' ? configured : hostname;
  return given === '' ? { name: cluster.name, isGiven: false } : { name: given, isGiven: true };
}

export function dialCheck(request: ProbeRequest, user: DialUser): Dial {
  const target = checkTarget(request);
  return dialEndpoint(target, secureTarget(request, target), user);
}

/** As dialCheck, for whoever needs a socket of Node's. */
export function dialCheckSocket(request: ProbeRequest, user: SocketUser): Dial {
  const target = checkTarget(request);
  return dialSocket(target, secureTarget(request, target), user);
}

/** The endpoint as a check sees it: elsewhere, perhaps, and of other metadata. */
function checkTarget({ cluster, endpoint, settings }: ProbeRequest): Endpoint {
  const place = cluster.checked.placeOf(endpoint);
  // A Unix path has no port.
  const port = place.port > 0 ? place.port : settings.port;
  const isPath = place.address === '' && endpoint.port === 0;
  const target = new Endpoint({
    address: place.address === '' ? endpoint.address : place.address,
    port: isPath || port === 0 ? endpoint.port : port,
    hostname: endpoint.hostname,
    locality: endpoint.locality,
    priority: endpoint.priority,
    metadata: endpoint.metadata,
    transportMatch: settings.transportMatch ?? endpoint.transportMatch,
    weight: 1,
  });
  target.sourceAddress = endpoint.sourceAddress;
  return target;
}

function secureTarget(request: ProbeRequest, target: Endpoint): SecureTarget | null {
  const { transport } = request.cluster.settings;
  const current = transport instanceof ClusterTransport ? transport.current : null;
  if (current === null) return null;
  const { tls, proxyVersion } = current.of(target);
  if (tls === null && proxyVersion === null) return null;
  const host = hostOf(request);
  const name = host.isGiven && isIP(host.name) === 0 ? host.name : '';
  return {
    tls,
    serverName: current.names.sni ? name : '',
    expectedName: current.names.san ? name : '',
    proxyVersion,
    client: null,
    protocols: request.settings.alpnProtocols,
  };
}
