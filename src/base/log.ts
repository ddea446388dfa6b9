// The log interface of the sidecar and a writer of JSON lines for it. One line is one object with
// `time`, `level`, `scope` and `message` first; extra fields follow as given.

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export interface Log {
  readonly level: LogLevel;
  setLevel(level: LogLevel): void;
  /** A log of the same sink and level whose lines carry another scope. */
  child(scope: string): Log;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warning(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogSink = (line: string) => void;

interface Shared {
  level: LogLevel;
  readonly sink: LogSink;
}

class JsonLog implements Log {
  readonly #shared: Shared;
  readonly #scope: string;

  constructor(shared: Shared, scope: string) {
    this.#shared = shared;
    this.#scope = scope;
  }

  get level(): LogLevel {
    return this.#shared.level;
  }

  setLevel(level: LogLevel): void {
    this.#shared.level = level;
  }

  child(scope: string): Log {
    return new JsonLog(this.#shared, scope);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }

  warning(message: string, fields?: LogFields): void {
    this.#write('warning', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.#shared.level)) return;
    const line = { time: new Date().toISOString(), level, scope: this.#scope, message, ...fields };
    this.#shared.sink(`${JSON.stringify(line)}\n`);
  }
}

export function createLog(scope: string, level: LogLevel = 'info', sink: LogSink = stderrSink): Log {
  return new JsonLog({ level, sink }, scope);
}

let isGuarded = false;

/** Whoever read the log may be gone (`outrigger sidecar … | head`): then nobody is told, least of all by the log. */
function stderrSink(line: string): void {
  if (!isGuarded) {
    isGuarded = true;
    process.stderr.on('error', () => {});
  }
  process.stderr.write(line);
}

export const silentLog: Log = createLog('silent', 'off', () => {});
