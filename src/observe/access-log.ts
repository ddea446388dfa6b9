// Compiles Envoy AccessLog messages into one onEnd step per logger: a filter, a format and a file.
// Files, standard output and standard error are supported; any other logger is refused with its
// place. The step makes the line and hands it to the batched writer; it never waits.
import type { Message } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import { anyIs, anyUnpack, type Any } from '@bufbuild/protobuf/wkt';
import { assertNever } from '../base/assert.ts';
import { error } from '../base/problem.ts';
import type { Exchange } from '../plan/exchange.ts';
import { CONTINUE, type CompileEnv, type PlanPart, type Step, type Verdict } from '../plan/plan.ts';
import { step } from '../plan/step.ts';
import type { AccessLog } from '../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { FileAccessLogSchema, type FileAccessLog } from '../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
  type StderrAccessLog,
  type StdoutAccessLog,
} from '../xds/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import { compileLogFilter, type LogPredicate } from './access-log-filter.ts';
import { ENVOY_FORMAT, compileJsonLine, compileLogFormat, compileTextLine, type LogLine } from './log-format.ts';
import type { LogFile, LogFiles } from './log-file.ts';

class Logger {
  readonly file: LogFile;
  readonly line: LogLine;
  readonly passes: LogPredicate | null;

  constructor(file: LogFile, line: LogLine, passes: LogPredicate | null) {
    this.file = file;
    this.line = line;
    this.passes = passes;
  }

  toJSON(): unknown {
    return { path: this.file.path, isFiltered: this.passes !== null };
  }
}

/**
 * One onEnd step per logger, in the order given. An empty list gives an empty part; null when one of
 * them is refused (its Problems are in `env.problems`, with paths below `path`).
 */
export function compileAccessLog(
  configs: readonly AccessLog[],
  env: CompileEnv,
  path: string,
  files: LogFiles,
): PlanPart | null {
  if (configs.length === 0) return {};
  const steps: Step[] = [];
  for (const [index, config] of configs.entries()) {
    const logger = compileLogger(config, env, `${path}[${index}]`, files);
    if (logger !== null) steps.push(step('access-log', '', writeLine, logger));
  }
  return steps.length === configs.length ? { onEnd: steps } : null;
}

function writeLine(x: Exchange, logger: Logger): Verdict {
  if (logger.passes === null || logger.passes(x)) logger.file.append(logger.line(x));
  return CONTINUE;
}

function compileLogger(config: AccessLog, env: CompileEnv, path: string, files: LogFiles): Logger | null {
  const filterPath = `${path}.filter`;
  const passes = config.filter === undefined ? null : compileLogFilter(config.filter, env, filterPath);
  const sink = compileSink(config, env, `${path}.typed_config`);
  if (sink === null || (passes === null && config.filter !== undefined)) return null;
  return new Logger(files.file(sink.path), sink.line, passes);
}

interface SinkConfig {
  readonly path: string;
  readonly line: LogLine;
}

function compileSink(config: AccessLog, env: CompileEnv, path: string): SinkConfig | null {
  const packed = config.configType.value;
  if (packed === undefined) {
    env.problems.push(error(path, 'is missing', 'set a FileAccessLog, StdoutAccessLog or StderrAccessLog'));
    return null;
  }
  const file = unpackAs(packed, FileAccessLogSchema);
  if (file !== null) return compileFile(file, env, path);
  const stdout = unpackAs(packed, StdoutAccessLogSchema);
  if (stdout !== null) return compileStream(stdout, env, path, '/dev/stdout');
  const stderr = unpackAs(packed, StderrAccessLogSchema);
  if (stderr !== null) return compileStream(stderr, env, path, '/dev/stderr');
  env.problems.push(
    error(path, `access logger ${packed.typeUrl} is not supported`, 'use a file, stdout or stderr access logger'),
  );
  return null;
}

function unpackAs<Type extends Message>(packed: Any, schema: GenMessage<Type>): Type | null {
  return anyIs(packed, schema) ? (anyUnpack<GenMessage<Type>>(packed, schema) ?? null) : null;
}

function compileFile(config: FileAccessLog, env: CompileEnv, path: string): SinkConfig | null {
  if (config.path === '') {
    env.problems.push(error(`${path}.path`, 'must not be empty', 'name a file, or /dev/stdout'));
    return null;
  }
  const line = compileFileLine(config, env, path);
  return line === null ? null : { path: config.path, line };
}

function compileFileLine({ accessLogFormat: format }: FileAccessLog, env: CompileEnv, path: string): LogLine | null {
  switch (format.case) {
    case 'logFormat':
      return compileLogFormat(format.value, env, `${path}.log_format`);
    case 'format':
      return compileTextLine(format.value, env, `${path}.format`, false);
    case 'jsonFormat':
      return compileJsonLine(format.value, env, `${path}.json_format`, { omitsEmpty: false, isTyped: false });
    case 'typedJsonFormat':
      return compileJsonLine(format.value, env, `${path}.typed_json_format`, { omitsEmpty: false, isTyped: true });
    case undefined:
      return compileTextLine(ENVOY_FORMAT, env, path, false);
    default:
      return assertNever(format);
  }
}

function compileStream(
  { accessLogFormat: format }: StdoutAccessLog | StderrAccessLog,
  env: CompileEnv,
  path: string,
  file: string,
): SinkConfig | null {
  const line =
    format.case === undefined
      ? compileTextLine(ENVOY_FORMAT, env, path, false)
      : compileLogFormat(format.value, env, `${path}.log_format`);
  return line === null ? null : { path: file, line };
}
