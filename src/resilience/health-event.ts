// An event of an active health check as a line of JSON, with Envoy's names and defaults written out.
// Source: Envoy data.core.v3.HealthCheckEvent.
import { assertNever } from '../base/assert.ts';
import type { HealthEvent } from './health-check.ts';
import type { HealthRecord } from './health-checker.ts';

/** `wallMs`: since the Unix epoch. */
export function formatHealthEvent({ cluster, endpoint, settings, event }: HealthRecord, wallMs: number): string {
  const { region, zone, subZone } = endpoint.locality;
  return JSON.stringify({
    health_checker_type: settings.probe.kind === 'http' ? 'HTTP' : 'TCP',
    host: addressOf(endpoint),
    cluster_name: cluster.name,
    ...detailsOf(event),
    timestamp: new Date(wallMs).toISOString(),
    locality: { region, zone, sub_zone: subZone },
  });
}

function addressOf({ address, port }: { readonly address: string; readonly port: number }): object {
  if (port === 0) return { pipe: { path: address, mode: 0 } };
  return {
    socket_address: {
      protocol: 'TCP',
      address,
      port_value: port,
      resolver_name: '',
      ipv4_compat: false,
      network_namespace_filepath: '',
    },
  };
}

function detailsOf(event: HealthEvent): object {
  switch (event.kind) {
    case 'added':
      return { add_healthy_event: { first_check: event.isFirst } };
    case 'ejected':
      return { eject_unhealthy_event: { failure_type: event.failure, http_status_code: event.status } };
    case 'passed':
      return { successful_health_check_event: {} };
    case 'failed':
      return {
        health_check_failure_event: {
          failure_type: event.failure,
          first_check: event.isFirst,
          http_status_code: event.status,
        },
      };
    case 'degraded':
      return { degraded_healthy_host: {} };
    case 'recovered':
      return { no_longer_degraded_host: {} };
    default:
      return assertNever(event);
  }
}
