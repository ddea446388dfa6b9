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
function patch(path: string, text: string): string {
  if (path === 'validate/validate.proto') return addIgnoreEmpty(text);
  if (path === 'envoy/extensions/access_loggers/open_telemetry/v3/logs_service.proto')
    return withoutOpenTelemetry(text);
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
