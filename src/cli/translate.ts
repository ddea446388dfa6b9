// `outrigger translate`: prints what a sidecar of a service would be sent for these rules.
import type { Command } from 'commander';

export interface TranslateFlags {
  readonly filename: readonly string[];
  readonly for: string;
  readonly version?: string;
  readonly app: readonly string[];
  readonly domain: string;
  readonly output: string;
  readonly envoy?: boolean;
  readonly bootstrap?: boolean;
  readonly mode: string;
  readonly address: string;
  readonly meshed?: boolean;
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function register(program: Command): void {
  program
    .command('translate')
    .description('print the xDS that a sidecar would get')
    .requiredOption('-f, --filename <file>', 'rule file or directory; may be given again', collect, [])
    .requiredOption('--for <service[.namespace]>', 'the service whose sidecar asks')
    .option('--version <version>', 'the version label of the workload')
    .option('--app <port[/protocol]>', 'a port of its application; may be given again', collect, [])
    .option('--mode <mode>', 'how it meets its sidecar: explicit or redirect', 'explicit')
    .option('--address <ip>', 'the address of the workload', '127.0.0.1')
    .option('--meshed', 'it has an identity of the mesh, for mutual TLS')
    .option('--domain <domain>', 'the domain of services', 'cluster.local')
    .option('--envoy', 'what a real Envoy would get: with upgrades, HTTP/2 and TLS')
    .option('--bootstrap', 'a static bootstrap that Envoy starts from, instead of the resources')
    .option('--output <format>', 'yaml or json', 'yaml')
    .action(async (flags: TranslateFlags) => {
      const { runTranslate } = await import('./translate-run.ts');
      process.exitCode = await runTranslate(flags);
    });
}
