// `outrigger drain`: tells a sidecar that its pod begins to stop, by its admin port. It is what injected pods run before they
// stop (preStop): others go elsewhere while the app ends its work, and the sidecar serves it until the app has ended.
// Exit codes: 0 it drains, 1 nobody took it, 64 wrong usage.
import { InvalidArgumentError, type Command } from 'commander';

const ADMIN_PORT = 15_000;
const WAIT_MS = 5000;

export function register(program: Command): void {
  program
    .command('drain')
    .description('let the connections to a sidecar end: readiness fails, the app may still send, nothing is cut')
    .option('--admin <port>', 'the admin port of the sidecar, on loopback', readPort, ADMIN_PORT)
    .action(async ({ admin }: { readonly admin: number }) => {
      process.exitCode = await drain(admin);
    });
}

async function drain(port: number): Promise<number> {
  const url = `http://127.0.0.1:${port}/drain`;
  try {
    const response = await fetch(url, { method: 'POST', signal: AbortSignal.timeout(WAIT_MS) });
    await response.arrayBuffer();
    if (response.ok) return 0;
    process.stderr.write(`outrigger drain: ${url} answered ${response.status}: is it a sidecar's admin port?\n`);
  } catch (cause) {
    const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
    const why = inner instanceof Error ? inner.message : String(inner);
    process.stderr.write(`outrigger drain: ${url}: ${why}; --admin says where the sidecar's admin port is\n`);
  }
  return 1;
}

function readPort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) throw new InvalidArgumentError('a port is 1 to 65535.');
  return port;
}
