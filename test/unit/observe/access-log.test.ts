// Access logs as text and JSON, their filters and Problems, and the batched files beneath: rotation,
// full disks, and queues that stay bounded. Expected lines were compared with Envoy 1.40.
// Files are real, in a temporary directory.
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, createRegistry, fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { afterAll, describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/base/problem.ts';
import { compileAccessLog } from '../../../src/observe/access-log.ts';
import { LogFiles } from '../../../src/observe/log-file.ts';
import { ISTIO_FORMAT } from '../../../src/observe/log-format.ts';
import { Registry } from '../../../src/observe/registry.ts';
import { FLAGS } from '../../../src/plan/response-flags.ts';
import { AccessLogSchema, type AccessLog } from '../../../src/xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { FileAccessLogSchema } from '../../../src/xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../../../src/xds/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import { HttpGrpcAccessLogConfigSchema } from '../../../src/xds/gen/envoy/extensions/access_loggers/grpc/v3/als_pb.js';
import { aCluster, anEndpoint, anEnv, anExchange, runPhase, type ExchangeInit } from './exchange-builder.ts';

const registry = createRegistry(
  AccessLogSchema,
  FileAccessLogSchema,
  StdoutAccessLogSchema,
  StderrAccessLogSchema,
  HttpGrpcAccessLogConfigSchema,
);
const directory = mkdtempSync(join(tmpdir(), 'outrigger-log-'));
afterAll(() => rmSync(directory, { recursive: true }));
let number = 0;

const aPath = (): string => join(directory, `${++number}.log`);
const aLogger = (type: string, config: JsonObject, filter?: JsonObject): AccessLog =>
  fromJson(
    AccessLogSchema,
    {
      name: 'logger',
      typedConfig: { '@type': `type.googleapis.com/envoy.extensions.access_loggers.${type}`, ...config },
      ...(filter === undefined ? {} : { filter }),
    },
    { registry },
  );
const aFileLogger = (path: string, config: JsonObject = {}, filter?: JsonObject): AccessLog =>
  aLogger('file.v3.FileAccessLog', { path, ...config }, filter);

async function linesOf(config: JsonObject, inits: readonly ExchangeInit[], filter?: JsonObject): Promise<string> {
  const path = aPath();
  const files = new LogFiles();
  const env = anEnv();
  const part = compileAccessLog([aFileLogger(path, config, filter)], env, 'access_log', files);
  expect(env.problems).toEqual([]);
  for (const init of inits) runPhase(anExchange(init), part, 'onEnd');
  await files.close();
  return readFileSync(path, 'utf8');
}

const wire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const status = (op: string, value: number): JsonObject => ({
  statusCodeFilter: { comparison: { op, value: { defaultValue: value, runtimeKey: 'k' } } },
});

const duration = (op: string, value: number): JsonObject => ({
  durationFilter: { comparison: { op, value: { defaultValue: value, runtimeKey: 'k' } } },
});

const percent = (numerator: number, independent = false): JsonObject => ({
  runtimeFilter: { runtimeKey: 'k', percentSampled: { numerator }, useIndependentRandomness: independent },
});

describe('access log formats', () => {
  test('the default is Envoy’s', async () => {
    const endpoint = anEndpoint();
    const init = {
      method: 'POST',
      path: '/a?b=1',
      headers: [['user-agent', 'curl/8'] as const],
      endpoint,
      cluster: aCluster('c', [endpoint]),
    };
    expect(await linesOf({}, [init])).toBe(
      '[2023-11-14T22:13:20.000Z] "POST /a?b=1 HTTP/1.1" 200 - 20 600 7 - "-" "curl/8" "-" "reviews:9080" "10.0.0.7:9080"\n',
    );
  });

  test('Istio’s default is Istio’s', async () => {
    const line = await linesOf({ logFormat: { textFormatSource: { inlineString: ISTIO_FORMAT } } }, [
      { flags: FLAGS.NR, status: 404 },
    ]);
    expect(line.startsWith('[2023-11-14T22:13:20.000Z] "GET / HTTP/1.1" 404 NR ')).toBe(true);
    expect(line.endsWith('\n')).toBe(true);
    expect(line.split(' ').length).toBe(ISTIO_FORMAT.split(' ').length);
  });

  test('JSON is typed, nested and sorted, as Envoy 1.40 writes it', async () => {
    const jsonFormat: JsonValue = {
      zeta: '%RESPONSE_CODE%',
      alpha: '%DURATION%',
      s: 'x %REQ(NOPE)%',
      missing: '%REQ(NOPE)%',
      nested: { b: 1, a: '%PROTOCOL%', t: true, n: null },
      list: ['%RESPONSE_CODE%', '%REQ(NOPE)%'],
      ua: '%REQ(USER-AGENT)%',
    };
    const headers = [['user-agent', wire('t\t"q\\ é e')]] as const;
    expect(await linesOf({ logFormat: { jsonFormat } }, [{ headers }])).toBe(
      '{"alpha":7,"list":[200,null],"missing":null,"nested":{"a":"HTTP/1.1","b":1,"n":null,"t":true},"s":"x -","ua":"t\\t\\"q\\\\ é e","zeta":200}\n',
    );
  });

  test('JSON leaves out what is empty when told so, as Envoy 1.40 does', async () => {
    const jsonFormat: JsonValue = {
      zeta: '%RESPONSE_CODE%',
      s: 'x %REQ(NOPE)%',
      missing: '%REQ(NOPE)%',
      nested: { a: '%REQ(NOPE)%' },
      list: ['%RESPONSE_CODE%', '%REQ(NOPE)%'],
    };
    expect(await linesOf({ logFormat: { jsonFormat, omitEmptyValues: true } }, [{}])).toBe(
      '{"list":[200],"s":"x ","zeta":200}\n',
    );
  });

  test('bytes that are not UTF-8 are named in JSON', async () => {
    const headers = [['user-agent', 'bad \xff e']] as const;
    expect(await linesOf({ logFormat: { jsonFormat: { ua: '%REQ(USER-AGENT)%' } } }, [{ headers }])).toBe(
      '{"ua":"bad \\u00ff e"}\n',
    );
  });

  test.each([
    ['deprecated text', { format: '%RESPONSE_CODE%\n' }, '200\n'],
    ['deprecated JSON: strings only', { jsonFormat: { a: '%RESPONSE_CODE%' } }, '{"a":"200"}\n'],
    ['deprecated typed JSON', { typedJsonFormat: { a: '%RESPONSE_CODE%' } }, '{"a":200}\n'],
    ['text_format', { logFormat: { textFormat: '%REQ(A)%|\n' } }, '-|\n'],
    ['text without empty values', { logFormat: { textFormat: '%REQ(A)%|\n', omitEmptyValues: true } }, '|\n'],
    ['inline bytes', { logFormat: { textFormatSource: { inlineBytes: 'aGkK' } } }, 'hi\n'],
    ['control characters of the format', { logFormat: { textFormat: 'a\t%RESPONSE_CODE%\r\nb\n' } }, 'a\t200\r\nb\n'],
  ] as const)('%s', async (_name, config, expected) => {
    expect(await linesOf(config, [{}])).toBe(expected);
  });

  test('a value can neither end a line nor move a cursor', async () => {
    const headers = [['user-agent', 'a\nb\r\x1b[2J\x00\x7f\tc']] as const;
    const config = { logFormat: { textFormat: '%REQ(USER-AGENT)%\n' } };
    expect(await linesOf(config, [{ headers }])).toBe('a\\nb\\r\\x1b[2J\\x00\\x7f\tc\n');
  });
});

describe('access log filters', () => {
  const header: JsonObject = { headerFilter: { header: { name: 'x-log', stringMatch: { exact: 'yes' } } } };
  const all: readonly ExchangeInit[] = [
    { path: '/a', status: 200, durationMs: 5 },
    {
      path: '/b',
      status: 404,
      durationMs: 50,
      flags: FLAGS.NR,
      headers: [['x-request-id', '00000063-0000-4000-8000-000000000000']],
    },
    { path: '/c', status: 503, durationMs: 500, flags: FLAGS.UF | FLAGS.URX, headers: [['x-log', 'yes']] },
  ];
  test.each([
    ['status at least', status('GE', 404), '/b /c'],
    ['status at most', status('LE', 404), '/a /b'],
    ['status equal', status('EQ', 200), '/a'],
    ['duration at least', duration('GE', 50), '/b /c'],
    ['not a health check', { notHealthCheckFilter: {} }, '/a /b /c'],
    ['traceable', { traceableFilter: {} }, ''],
    ['header', header, '/c'],
    ['any response flag', { responseFlagFilter: {} }, '/b /c'],
    ['one of the response flags', { responseFlagFilter: { flags: ['UF', 'DC'] } }, '/c'],
    ['and', { andFilter: { filters: [status('GE', 400), duration('LE', 60)] } }, '/b'],
    ['or', { orFilter: { filters: [status('EQ', 200), header] } }, '/a /c'],
    ['gRPC status inferred from HTTP', { grpcStatusFilter: { statuses: ['UNAVAILABLE'] } }, '/c'],
    ['gRPC status excluded', { grpcStatusFilter: { statuses: ['UNAVAILABLE'], exclude: true } }, '/a /b'],
    ['runtime by request id, else by chance 0.5', percent(99), '/a /c'],
    ['runtime 100 %', percent(100), '/a /b /c'],
    ['runtime by chance alone', percent(51, true), '/a /b /c'],
    ['runtime 0 %', percent(0, true), ''],
  ] as [string, JsonObject, string][])('%s', async (_name, filter, expected) => {
    const lines = await linesOf({ logFormat: { textFormat: '%REQ(:PATH)% ' } }, all, filter).catch(() => '');
    expect(lines.trim()).toBe(expected);
  });
});

describe('access log problems', () => {
  test.each([
    [
      'an unknown logger',
      aLogger('grpc.v3.HttpGrpcAccessLogConfig', {}),
      'access_log[0].typed_config: access logger type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig is not supported; use a file, stdout or stderr access logger',
    ],
    [
      'no logger',
      create(AccessLogSchema, { name: 'x' }),
      'access_log[0].typed_config: is missing; set a FileAccessLog, StdoutAccessLog or StderrAccessLog',
    ],
    ['no path', aFileLogger(''), 'access_log[0].typed_config.path: must not be empty; name a file, or /dev/stdout'],
    [
      'an unknown filter',
      aFileLogger('/dev/null', {}, { metadataFilter: {} }),
      'access_log[0].filter.metadata_filter: is not supported; use status_code, duration, header, response_flag, and, or, runtime filters',
    ],
    [
      'an unknown flag',
      aFileLogger('/dev/null', {}, { responseFlagFilter: { flags: ['XX'] } }),
      'access_log[0].filter.response_flag_filter.flags[0]: unknown response flag XX; use status_code, duration, header, response_flag, and, or, runtime filters',
    ],
    [
      'an empty format',
      aLogger('stream.v3.StdoutAccessLog', { logFormat: {} }),
      'access_log[0].typed_config.log_format: no format is given; set text_format_source or json_format',
    ],
  ])('%s is refused with its place', (_name, config, expected) => {
    const env = anEnv();
    expect(compileAccessLog([config], env, 'access_log', new LogFiles())).toBe(null);
    expect(env.problems.map(formatProblem)).toEqual([expected]);
  });

  test('every refused logger is reported, not only the first', () => {
    const env = anEnv();
    compileAccessLog([aFileLogger(''), aFileLogger('')], env, 'access_log', new LogFiles());
    expect(env.problems.map(({ path }) => path)).toEqual([
      'access_log[0].typed_config.path',
      'access_log[1].typed_config.path',
    ]);
  });
});

describe('log files', () => {
  test('lines are written together after the flush interval, without anybody asking', async () => {
    const path = aPath();
    const file = new LogFiles({ flushMs: 20 }).file(path);
    file.append('a\n');
    file.append('b\n');
    await expect.poll(() => readIfAny(path)).toBe('a\nb\n');
  });

  test('a full batch is written at once', async () => {
    const path = aPath();
    const files = new LogFiles({ flushMs: 1e6 });
    files.file(path).append('x'.repeat(64 * 1024));
    files.file(path).append('y');
    await files.close();
    expect(readIfAny(path).length).toBe(64 * 1024 + 1);
  });

  test('a rotated file is opened anew', async () => {
    const path = aPath();
    const files = new LogFiles();
    files.file(path).append('old\n');
    await files.flush();
    renameSync(path, `${path}.1`);
    files.reopen();
    files.file(path).append('new\n');
    await files.close();
    expect([readIfAny(`${path}.1`), readIfAny(path)]).toEqual(['old\n', 'new\n']);
  });

  test('a file that cannot be opened only counts, keeps a bounded queue, and drops what is over', async () => {
    const registry = new Registry();
    const files = new LogFiles({ registry, flushMs: 1e6 });
    const file = files.file(join(directory, 'no', 'such', 'place'));
    const line = 'x'.repeat(1023) + '\n';
    for (let i = 0; i < 10_000; i++) file.append(line);
    await files.close();
    const value = (name: string): number => registry.get(registry.counter(name, ''));
    expect(value('outrigger_access_log_lines_total')).toBe(4096);
    expect(value('outrigger_access_log_dropped_total')).toBe(10_000 - 4096);
    expect(value('outrigger_access_log_write_failures_total')).toBeGreaterThan(0);
  });

  test('a disk that is full fails the write, not the caller', async () => {
    const registry = new Registry();
    const files = new LogFiles({ registry });
    files.file('/dev/full').append('x\n');
    await files.close();
    expect(registry.get(registry.counter('outrigger_access_log_write_failures_total', ''))).toBeGreaterThan(0);
  });
});

function readIfAny(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
