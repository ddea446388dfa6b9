// The access log of a sidecar: off unless MeshConfig.accessLogFile or a Telemetry resource switches it on.
// The text is Istio's default format; JSON has Istio's keys.
import { create } from '@bufbuild/protobuf';
import type { JsonObject } from '@bufbuild/protobuf';
import type { MeshConfigSpec } from '../../config/mesh-config.ts';
import { AccessLogSchema } from '../../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import type { AccessLog } from '../../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { SubstitutionFormatStringSchema } from '../../xds/gen/envoy/config/core/v3/substitution_format_string_pb.js';
import type { SubstitutionFormatString } from '../../xds/gen/envoy/config/core/v3/substitution_format_string_pb.js';
import { FileAccessLogSchema } from '../../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import type { MeshNode } from '../mesh-node.ts';
import type { Scope } from '../scope.ts';
import { pack } from './proto.ts';
import { accessLoggingFor } from './telemetry-scope.ts';

const TEXT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% ' +
  '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

const JSON_FORMAT: JsonObject = {
  authority: '%REQ(:AUTHORITY)%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  duration: '%DURATION%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  request_id: '%REQ(X-REQUEST-ID)%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  response_code: '%RESPONSE_CODE%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  response_flags: '%RESPONSE_FLAGS%',
  route_name: '%ROUTE_NAME%',
  start_time: '%START_TIME%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  user_agent: '%REQ(USER-AGENT)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
};

export function accessLogs(scope: Scope, node: MeshNode, direction: 'client' | 'server'): AccessLog[] {
  const { mesh } = scope.snapshot;
  const specs = accessLoggingFor(scope.snapshot, node, direction);
  if (specs.map((spec) => spec.isDisabled).find((disabled) => disabled !== null) === true) return [];
  // A Telemetry that names no provider uses the mesh's default ones.
  const named =
    specs.map((spec) => spec.providers).find((providers) => providers !== null) ??
    (specs.length > 0 || mesh.defaultAccessLogging.length > 0 ? mesh.defaultAccessLogging : null);
  if (named === null || (named.length === 0 && specs.length > 0))
    return mesh.accessLogFile === '' && named === null
      ? []
      : [fileLog(mesh.accessLogFile === '' ? '/dev/stdout' : mesh.accessLogFile, formatOf(mesh))];
  const logs: AccessLog[] = [];
  for (const name of named) {
    const provider = mesh.providers.find((candidate) => candidate.name === name);
    if (provider?.kind === 'file-log') {
      const json = provider.labels === null ? null : Object.fromEntries(provider.labels);
      logs.push(
        fileLog(
          provider.path,
          json === null ? textFormat(provider.text === '' ? TEXT_FORMAT : provider.text) : jsonFormat(json),
        ),
      );
    } else if (provider === undefined && name === 'envoy')
      logs.push(fileLog(mesh.accessLogFile === '' ? '/dev/stdout' : mesh.accessLogFile, formatOf(mesh)));
  }
  return logs;
}

function formatOf(mesh: MeshConfigSpec): SubstitutionFormatString {
  if (mesh.accessLogEncoding === 'JSON') return jsonFormat(jsonKeys(mesh.accessLogFormat) ?? JSON_FORMAT);
  if (mesh.accessLogFormat === '') return textFormat(TEXT_FORMAT);
  return textFormat(mesh.accessLogFormat.endsWith('\n') ? mesh.accessLogFormat : `${mesh.accessLogFormat}\n`);
}

/** With JSON the format is an object of keys and formats; null when there is none or it is not one. */
function jsonKeys(text: string): JsonObject | null {
  if (text === '') return null;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
    return Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, String(value)]));
  } catch {
    return null;
  }
}

function textFormat(text: string): SubstitutionFormatString {
  return create(SubstitutionFormatStringSchema, {
    format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: text } } },
  });
}

function jsonFormat(keys: JsonObject): SubstitutionFormatString {
  return create(SubstitutionFormatStringSchema, { format: { case: 'jsonFormat', value: keys } });
}

function fileLog(path: string, logFormat: SubstitutionFormatString): AccessLog {
  const config = create(FileAccessLogSchema, { path, accessLogFormat: { case: 'logFormat', value: logFormat } });
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.file',
    configType: { case: 'typedConfig', value: pack(FileAccessLogSchema, config) },
  });
}
