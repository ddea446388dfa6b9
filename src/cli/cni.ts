// `outrigger cni`: the CNI plugin, called by a container runtime with the environment and the standard input of the CNI
// specification. It answers on standard output, errors too. Exit codes: 0 done, 1 with an error.
import type { Command } from 'commander';

export function register(program: Command): void {
  program
    .command('cni')
    .description('the CNI plugin that redirects injected pods; called by container runtimes')
    .action(async () => {
      const { runCni } = await import('./cni/plugin.ts');
      const { text } = await import('node:stream/consumers');
      const { exitCode, output } = await runCni(process.env, await text(process.stdin));
      process.stdout.write(output);
      process.exitCode = exitCode;
    });
}
