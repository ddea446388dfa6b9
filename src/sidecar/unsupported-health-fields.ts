// What the sidecar does with the fields of health checks: the table for unsupported.ts. Their compiler refuses what
// it cannot check, with the reason; here stands only which settings exist at all.
import type { MessageFields } from './unsupported.ts';

const ALL: MessageFields = { supported: '*' };

export const HEALTH_FIELDS: Readonly<Record<string, MessageFields>> = {
  'envoy.config.core.v3.HealthCheck': { supported: '*', opaque: 'grpc_health_check custom_health_check event_service' },
  'envoy.config.core.v3.HealthCheck.Payload': ALL,
  'envoy.config.core.v3.HealthCheck.HttpHealthCheck': ALL,
  'envoy.config.core.v3.HealthCheck.TcpHealthCheck': ALL,
  'envoy.config.core.v3.HealthCheck.TlsOptions': ALL,
  'envoy.type.v3.Int64Range': ALL,
  'envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink': ALL,
};
