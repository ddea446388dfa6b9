// `outrigger upgrade`: what `outrigger install` does, where there is an installation already (install.ts).
// It refuses a cluster without one: a wrong context would get a mesh that nobody asked for.
import type { Command } from 'commander';
import { registerInstall } from './install.ts';

export function register(program: Command): void {
  registerInstall(program, 'upgrade', 'bring the installation on a cluster up to date');
}
