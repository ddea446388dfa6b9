// `outrigger inject`: a text filter that adds the sidecar, and the step that redirects connections to it, to the
// workloads of manifests, or takes them out again. It asks no cluster. Exit codes: 0 written, 1 a file cannot be
// read or written, 64 wrong usage, 65 with errors, and then nothing is written.
import type { Command } from 'commander';

export interface InjectFlags {
  readonly filename: readonly string[];
  readonly output?: string;
  readonly control: string;
  readonly image: string;
  readonly mode: string;
  readonly classic?: boolean;
  readonly uninject?: boolean;
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function register(program: Command): void {
  program
    .command('inject')
    .description('add the sidecar to the workloads of manifests')
    .requiredOption(
      '-f, --filename <file>',
      'manifests in YAML or JSON, - is standard input; may be given again',
      collect,
      [],
    )
    .option('-o, --output <file>', 'where the result goes instead of standard output')
    .option('--control <host:port>', 'the control service', 'outrigger-control.outrigger-system.svc:15012')
    .option('--image <image>', 'the image of the sidecar', 'outrigger:0.1.0')
    .option('--mode <mode>', 'how applications meet their sidecar: redirect or explicit', 'redirect')
    .option('--classic', 'a plain container instead of a native sidecar, for Kubernetes before 1.29')
    .option('--uninject', 'take out what was added')
    .action(async (flags: InjectFlags) => {
      const { runInject } = await import('./inject-run.ts');
      process.exitCode = await runInject(flags);
    });
}
