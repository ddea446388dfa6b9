// `outrigger ca`: the certificate authority of a mesh, as files in a directory or entries of a Secret. `init` makes a root, `show` prints what
// signs and what is trusted, `rotate` exchanges the root in stages. The heavy part is imported when one of them runs.
import type { Command } from 'commander';
import { takesPlace, type PlaceFlags } from './authority-place.ts';

export interface InitFlags extends PlaceFlags {
  readonly trustDomain: string;
}

export interface ShowFlags extends PlaceFlags {
  readonly output: string;
}

export interface RotateFlags extends PlaceFlags {
  readonly force?: boolean;
  readonly wait?: boolean;
}

const STAGES = [
  ['start', 'make a new root: both are trusted from now on, the old one signs'],
  ['switch', 'let the new root sign; both stay trusted'],
  ['finish', 'trust the old root no longer'],
  ['abort', 'one stage back: the old root signs again, or the new one is trusted no longer'],
] as const;

export function register(program: Command): void {
  const ca = program.command('ca').description('the certificate authority of a mesh');
  takesPlace(ca.command('init'))
    .description('make a root where there is none')
    .option('--trust-domain <domain>', 'stands in the subject of the root', 'cluster.local')
    .action(async (flags: InitFlags) => {
      const { initAuthority } = await import('./ca-run.ts');
      process.exitCode = await initAuthority(flags);
    });
  takesPlace(ca.command('show'))
    .description('print what signs, what is trusted, and the stage of a rotation')
    .option('--output <format>', 'text or json', 'text')
    .action(async (flags: ShowFlags) => {
      const { showAuthority } = await import('./ca-run.ts');
      process.exitCode = await showAuthority(flags);
    });
  const rotate = ca.command('rotate').description('exchange the root in stages: start, switch, finish');
  for (const [action, description] of STAGES)
    takesPlace(rotate.command(action))
      .description(description)
      .option('--wait', 'wait until the stage before has reached everybody')
      .option('--force', 'do not wait for it: connections may fail')
      .action(async (flags: RotateFlags) => {
        const { rotateRoot } = await import('./ca-run.ts');
        process.exitCode = await rotateRoot(action, flags);
      });
}
