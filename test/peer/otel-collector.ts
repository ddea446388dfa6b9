// A real OpenTelemetry Collector (tools/realparts builds it) that prints every span it gets; the
// printed text is parsed back into spans. It can be killed and started again on the same port.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/free-port.ts';
import { realPart } from '../support/real-parts.ts';

export interface SeenSpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly status: string;
  readonly service: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export class OtelCollector {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly #directory: string;
  #process: ChildProcess | null = null;
  #output = '';

  private constructor(grpcPort: number, httpPort: number) {
    this.grpcPort = grpcPort;
    this.httpPort = httpPort;
    this.#directory = mkdtempSync(join(tmpdir(), 'outrigger-otel-'));
    writeFileSync(join(this.#directory, 'config.yaml'), configText(grpcPort, httpPort));
  }

  static async start(): Promise<OtelCollector> {
    const collector = new OtelCollector(await freePort(), await freePort());
    await collector.start();
    return collector;
  }

  /** Resolves when it says that it is ready. */
  async start(): Promise<void> {
    const child = spawn(realPart('otelcol'), ['--config', join(this.#directory, 'config.yaml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    let isReady = false;
    await new Promise<void>((resolve, reject) => {
      const onOutput = (chunk: Buffer): void => {
        this.#output += chunk.toString('utf8');
        if (isReady || !this.#output.includes('Everything is ready')) return;
        isReady = true;
        resolve();
      };
      child.stdout.on('data', onOutput);
      child.stderr.on('data', onOutput);
      child.once('exit', (code) => reject(new Error(`the Collector ended with ${code}: ${this.#output}`)));
    });
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null) return;
    const exit = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exit;
    this.#output = this.#output.replaceAll('Everything is ready', '');
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true });
  }

  /** Forgets the spans printed so far: what is kept is parsed whole each time. */
  forget(): void {
    this.#output = '';
  }

  /** Every span printed since the start or since `forget`, in the order of arrival. */
  get spans(): SeenSpan[] {
    return parseSpans(this.#output);
  }
}

function configText(grpcPort: number, httpPort: number): string {
  return `receivers:
  otlp:
    protocols:
      grpc: { endpoint: "127.0.0.1:${grpcPort}" }
      http: { endpoint: "127.0.0.1:${httpPort}" }
exporters:
  debug: { verbosity: detailed }
service:
  telemetry:
    metrics: { level: none }
  pipelines:
    traces: { receivers: [otlp], exporters: [debug] }
`;
}

/** The debug exporter's detailed text: `Span #n`, then `Name : value` lines, then `-> key: Str(value)`. */
function parseSpans(output: string): SeenSpan[] {
  const spans: SeenSpan[] = [];
  for (const resource of output.split(/ResourceSpans #\d+$/m).slice(1)) {
    const service = /-> service\.name: Str\((.*)\)/.exec(resource)?.[1] ?? '';
    for (const text of resource.split(/^Span #\d+$/m).slice(1)) {
      const field = (name: string): string => new RegExp(`^ +${name} +: ?(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
      const attributes = [...text.matchAll(/-> ([^:]+(?::[^ ]+)?): (?:Str|Int|Double|Bool)\((.*)\)$/gm)];
      spans.push({
        name: field('Name'),
        kind: field('Kind'),
        traceId: field('Trace ID'),
        spanId: field('ID'),
        parentId: field('Parent ID'),
        status: field('Status code'),
        service,
        attributes: Object.fromEntries(attributes.map(([, key = '', value = '']) => [key, value])),
      });
    }
  }
  return spans;
}
