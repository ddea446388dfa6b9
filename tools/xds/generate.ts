// Generates the Envoy API types under src/xds/gen from the .proto files that the npm package
// @grpc/grpc-js-xds carries. Neither the protos nor the generated code are committed; a stamp of
// everything that goes in (the list, the protos, the tools' versions, this file) makes a second
// run a matter of milliseconds.
//
//   protos.txt ─► .cache/xds/proto (patched copies) ─► buf + protoc-gen-es ─► src/xds/gen
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const protoRoot = join(root, 'node_modules', '@grpc', 'grpc-js-xds', 'deps');
const buildDir = join(root, '.cache', 'xds');
const outDir = join(root, 'src', 'xds', 'gen');
const stampFile = join(outDir, '.stamp');

// Options that nothing here reads. Leaving them out of the descriptors takes a third off what a
// sidecar has to parse and hold.
const ANNOTATIONS = ['validate', 'udpa.annotations', 'envoy.annotations', 'xds.annotations.v3'];

// The package's validate.proto is older than the Envoy protos beside it, which use `ignore_empty`.
// Its rules are annotations that nothing here reads, so every rule message becomes open-ended.
function patch(path: string, given: string): string {
  const text = withNewerFields(path, given);
  if (path === 'validate/validate.proto') return addIgnoreEmpty(text);
  if (path === 'envoy/extensions/access_loggers/open_telemetry/v3/logs_service.proto')
    return withoutOpenTelemetry(text);
  return text;
}

// Fields of Envoy 1.40 that the package's protos are too old to have: each goes behind the line that is
// named. Names, types and numbers are those of the descriptors that Envoy 1.40 carries in its binary.
const NEWER_FIELDS: Readonly<Record<string, readonly (readonly [after: string, field: string])[]>> = {
  'envoy/config/cluster/v3/circuit_breaker.proto': [
    ['import "envoy/type/v3/percent.proto";', 'import "google/protobuf/duration.proto";'],
    ['      type.v3.Percent budget_percent = 1;', '      google.protobuf.Duration budget_interval = 3;'],
  ],
  'envoy/config/core/v3/health_check.proto': [
    ['  google.protobuf.Struct transport_socket_match_criteria = 23;', '  string name = 27;'],
    [
      '    type.v3.CodecClientType codec_client_type = 10 [(validate.rules).enum = {defined_only: true}];',
      '    bool use_alpn_protocol = 15;',
    ],
  ],
  'envoy/config/rbac/v3/rbac.proto': [
    [
      'option (udpa.annotations.file_status).package_version_status = ACTIVE;',
      `enum MetadataSource {
  DYNAMIC = 0;
  ROUTE = 1;
}
message SourcedMetadata {
  type.matcher.v3.MetadataMatcher metadata_matcher = 1;
  MetadataSource metadata_source = 2;
}`,
    ],
    ['    core.v3.TypedExtensionConfig uri_template = 13;', '    SourcedMetadata sourced_metadata = 14;'],
    ['    type.matcher.v3.FilterStateMatcher filter_state = 12;', '    SourcedMetadata sourced_metadata = 13;'],
  ],
  'envoy/config/route/v3/route.proto': [
    ['  bool ignore_path_parameters_in_path_matching = 15;', '  string vhost_header = 18;'],
  ],
  'envoy/config/route/v3/route_components.proto': [
    [
      'import "envoy/config/core/v3/proxy_protocol.proto";',
      'import "envoy/config/core/v3/substitution_format_string.proto";',
    ],
    [
      '  google.protobuf.UInt32Value per_request_buffer_limit_bytes = 18;',
      '  google.protobuf.UInt64Value request_body_buffer_limit = 25;',
    ],
    [
      '  google.protobuf.UInt32Value per_request_buffer_limit_bytes = 16;',
      '  google.protobuf.UInt64Value request_body_buffer_limit = 20;',
    ],
    ['  oneof random_value_specifier {', '    google.protobuf.BoolValue use_hash_policy = 5;'],
    ['  repeated QueryParameterMatcher query_parameters = 7;', '  repeated CookieMatcher cookies = 17;'],
    ['    bool disable_shadow_host_suffix_append = 6;', '    string host_rewrite_literal = 8;'],
    ['    type.matcher.v3.RegexMatchAndSubstitute host_rewrite_path_regex = 35;', '    string host_rewrite = 44;'],
    ['  google.protobuf.Duration timeout = 8;', '  string path_rewrite = 45;'],
    ['    type.matcher.v3.RegexMatchAndSubstitute regex_rewrite = 9;', '    string path_rewrite = 10;'],
    ['  core.v3.DataSource body = 2;', '  core.v3.SubstitutionFormatString body_format = 3;'],
    [
      'option (udpa.annotations.file_status).package_version_status = ACTIVE;',
      'message CookieMatcher {\n  string name = 1;\n  type.matcher.v3.StringMatcher string_match = 2;\n  bool invert_match = 3;\n}',
    ],
  ],
};

// Messages in files that the package does not carry: Envoy 1.40's, facts of the same descriptors, and one more.
const NEWER_FILES: Readonly<Record<string, string>> = {
  'envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.proto': `syntax = "proto3";
package envoy.extensions.filters.http.adaptive_concurrency.v3;
import "envoy/config/core/v3/base.proto";
import "envoy/type/v3/http_status.proto";
import "envoy/type/v3/percent.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
message GradientControllerConfig {
  message ConcurrencyLimitCalculationParams {
    google.protobuf.UInt32Value max_concurrency_limit = 2;
    google.protobuf.Duration concurrency_update_interval = 3;
  }
  message MinimumRTTCalculationParams {
    google.protobuf.Duration interval = 1;
    google.protobuf.UInt32Value request_count = 2;
    type.v3.Percent jitter = 3;
    google.protobuf.UInt32Value min_concurrency = 4;
    type.v3.Percent buffer = 5;
    google.protobuf.Duration fixed_value = 6;
  }
  type.v3.Percent sample_aggregate_percentile = 1;
  ConcurrencyLimitCalculationParams concurrency_limit_params = 2;
  MinimumRTTCalculationParams min_rtt_calc_params = 3;
}
message AdaptiveConcurrency {
  oneof concurrency_controller_config {
    GradientControllerConfig gradient_controller_config = 1;
  }
  config.core.v3.RuntimeFeatureFlag enabled = 2;
  type.v3.HttpStatus concurrency_limit_exceeded_status = 3;
}
`,
  'envoy/extensions/filters/http/admission_control/v3/admission_control.proto': `syntax = "proto3";
package envoy.extensions.filters.http.admission_control.v3;
import "envoy/config/core/v3/base.proto";
import "envoy/type/v3/range.proto";
import "google/protobuf/duration.proto";
message AdmissionControl {
  message SuccessCriteria {
    message HttpCriteria {
      repeated type.v3.Int32Range http_success_status = 1;
    }
    message GrpcCriteria {
      repeated uint32 grpc_success_status = 1;
    }
    HttpCriteria http_criteria = 1;
    GrpcCriteria grpc_criteria = 2;
  }
  config.core.v3.RuntimeFeatureFlag enabled = 1;
  oneof evaluation_criteria {
    SuccessCriteria success_criteria = 2;
  }
  google.protobuf.Duration sampling_window = 3;
  config.core.v3.RuntimeDouble aggression = 4;
  config.core.v3.RuntimePercent sr_threshold = 5;
  config.core.v3.RuntimeUInt32 rps_threshold = 6;
  config.core.v3.RuntimePercent max_rejection_probability = 7;
}
`,
  'envoy/extensions/health_check/event_sinks/file/v3/file.proto': `syntax = "proto3";
package envoy.extensions.health_check.event_sinks.file.v3;
message HealthCheckEventFileSink {
  string event_log_path = 1;
}
`,
  'envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts.proto': `syntax = "proto3";
package envoy.extensions.retry.host.omit_canary_hosts.v3;
message OmitCanaryHostsPredicate {}
`,
  'envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.proto': `syntax = "proto3";
package envoy.extensions.retry.host.omit_host_metadata.v3;
import "envoy/config/core/v3/base.proto";
message OmitHostMetadataConfig {
  config.core.v3.Metadata metadata_match = 1;
}
`,
  // Not Envoy's: how a workload asks a certificate authority of a mesh for its certificate, as Istio's agents do.
  'istio/v1/auth/ca.proto': `syntax = "proto3";
package istio.v1.auth;
import "google/protobuf/struct.proto";
message IstioCertificateRequest {
  string csr = 1;
  int64 validity_duration = 3;
  google.protobuf.Struct metadata = 4;
}
message IstioCertificateResponse {
  repeated string cert_chain = 1;
}
service IstioCertificateService {
  rpc CreateCertificate(IstioCertificateRequest) returns (IstioCertificateResponse);
}
`,
  'envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.proto': `syntax = "proto3";
package envoy.extensions.retry.priority.previous_priorities.v3;
message PreviousPrioritiesConfig {
  int32 update_frequency = 1;
}
`,
};

function withNewerFields(path: string, given: string): string {
  let text = given.replaceAll('\r\n', '\n');
  for (const [after, field] of NEWER_FIELDS[path] ?? []) {
    const name = / (\w+) = \d+;$/.exec(field)?.[1];
    const parts = text.split(`${after}\n`);
    if (parts.length !== 2)
      throw new Error(`tools/xds: ${path} no longer has the one line '${after}'; look where ${name} belongs`);
    text = parts.join(`${after}\n${field}\n`);
  }
  return text;
}

function addIgnoreEmpty(text: string): string {
  return text.replace(/^message (\w+Rules) \{$/gm, (head, name: string) =>
    name === 'FieldRules' || name === 'MessageRules' ? head : `${head}\n  optional bool ignore_empty = 900;`,
  );
}

// Two fields of this message need OpenTelemetry's own protos, which the package does not carry.
function withoutOpenTelemetry(text: string): string {
  return text
    .replace(/^import "opentelemetry\/.*$/m, '')
    .replace(/^\s*opentelemetry\.proto\.[\w.]+ \w+ = \d+[^;]*;$/gm, '');
}

function readProto(path: string): string {
  const newer = NEWER_FILES[path];
  if (newer !== undefined) return newer;
  for (const dep of readdirSync(protoRoot)) {
    const file = join(protoRoot, dep, path);
    if (existsSync(file)) return patch(path, readFileSync(file, 'utf8'));
  }
  throw new Error(`tools/xds/protos.txt: ${path} is not in @grpc/grpc-js-xds; remove the line or update the package`);
}

function packageVersion(name: string): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'),
  );
  return `${name}@${manifest.version}`;
}

function generate(protos: ReadonlyMap<string, string>): void {
  rmSync(buildDir, { recursive: true, force: true });
  for (const [path, text] of protos) {
    const file = join(buildDir, 'proto', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const plugin = join(root, 'node_modules', '.bin', 'protoc-gen-es');
  const fresh = join(buildDir, 'gen');
  writeFileSync(join(buildDir, 'buf.yaml'), 'version: v2\nmodules:\n  - path: proto\n');
  writeFileSync(
    join(buildDir, 'buf.gen.yaml'),
    `version: v2
inputs:
  - directory: .
    exclude_types: [${ANNOTATIONS.join(', ')}]
plugins:
  - local: ${JSON.stringify(plugin)}
    out: ${JSON.stringify(fresh)}
    opt: [target=js+dts, import_extension=js]
`,
  );
  const buf = join(root, 'node_modules', '.bin', 'buf');
  const run = spawnSync(buf, ['generate'], { cwd: buildDir, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`buf generate failed: ${run.error?.message ?? ''}${run.stdout}${run.stderr}`);
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(dirname(outDir), { recursive: true });
  try {
    renameSync(fresh, outDir);
  } catch {
    cpSync(fresh, outDir, { recursive: true });
  }
}

const paths = readFileSync(join(here, 'protos.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));
const protos = new Map(paths.map((path) => [path, readProto(path)]));
const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
for (const name of ['@bufbuild/buf', '@bufbuild/protoc-gen-es']) hash.update(packageVersion(name));
for (const [path, text] of protos) hash.update(`${path}\0${text}\0`);
const stamp = hash.digest('hex');
if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  const started = performance.now();
  generate(protos);
  writeFileSync(stampFile, stamp);
  process.stderr.write(
    `xds: generated ${protos.size} files in ${((performance.now() - started) / 1000).toFixed(1)} s\n`,
  );
}
