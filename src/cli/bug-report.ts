// `outrigger bug-report`: one archive with what somebody who helps needs to see: versions, what the control service knows,
// what sidecars have. Secrets, tokens and keys are taken out of every file of it. Exit codes: 0 written (what could not
// be had is named inside), 1 it cannot be written, 64 wrong usage.
import type { Command } from 'commander';

export interface BugReportFlags {
  readonly controlHttp: string;
  readonly filename: string[];
  readonly log: string[];
  readonly output: string;
}

export function register(program: Command): void {
  program
    .command('bug-report')
    .description('write an archive with versions, states and configuration, without secrets')
    .option('--control-http <host:port>', 'the HTTP port of the control service', '127.0.0.1:15014')
    .option('-f, --filename <file>', 'rules to put in; may be repeated', collect, [])
    .option('--log <file>', 'a log to put in; may be repeated', collect, [])
    .option('-o, --output <file>', 'the archive', 'outrigger-bug-report.tar.gz')
    .action(async (flags: BugReportFlags) => {
      const { runBugReport } = await import('./pages/bug-report-run.ts');
      process.exitCode = await runBugReport(flags);
    });
}

function collect(file: string, before: string[]): string[] {
  return [...before, file];
}
