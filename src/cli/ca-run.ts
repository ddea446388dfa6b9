// Runs `outrigger ca` for the command line. Exit codes: 0 done, 1 it cannot be done (now), 64 wrong usage, 65 the files
// of the authority are wrong. Data goes to standard output, no key ever does.
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../base/clock.ts';
import { formatProblem, type Problem } from '../base/problem.ts';
import { SIGNER_CERTIFICATE, type AuthorityStore } from '../control/ca/authority-files.ts';
import { readMaterial, type AuthorityMaterial } from '../control/ca/authority-material.ts';
import { makeFirstRoot } from '../control/ca/first-root.ts';
import { rootHash } from '../control/ca/join-token.ts';
import { reachMs, readRotation, rotate, type RotationAction, type RotationStep } from '../control/ca/rotation.ts';
import { isTrustDomain } from '../tls/spiffe-id.ts';
import { withAuthority, type PlaceFlags } from './authority-place.ts';
import type { InitFlags, RotateFlags, ShowFlags } from './ca.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_DATA = 65;

export async function initAuthority(flags: InitFlags): Promise<number> {
  const { trustDomain } = flags;
  if (!isTrustDomain(trustDomain)) return failed(`"${trustDomain}" is not a trust domain`, EXIT_USAGE);
  return await run(flags, async (store) => {
    const there = await store.read().catch(() => new Map<string, string>());
    if (there.has(SIGNER_CERTIFICATE))
      return failed(`${store.place} holds a certificate authority already`, EXIT_FAILED);
    await makeFirstRoot(store, trustDomain, systemClock.wall());
    return await show(store, 'text');
  });
}

export async function showAuthority(flags: ShowFlags): Promise<number> {
  const { output } = flags;
  if (output !== 'text' && output !== 'json') return failed('--output is text or json', EXIT_USAGE);
  return await run(flags, async (store) => await show(store, output));
}

/** Nothing is thrown at the caller, who waits for a code to exit with. */
async function run(flags: PlaceFlags, work: (store: AuthorityStore) => Promise<number>): Promise<number> {
  try {
    const code = await withAuthority(flags, work);
    return typeof code === 'string' ? failed(code, EXIT_USAGE) : code;
  } catch (cause) {
    return failed(messageOf(cause), EXIT_FAILED);
  }
}

async function show(store: AuthorityStore, output: 'text' | 'json'): Promise<number> {
  const files = await store.read();
  const { place } = store;
  const problems: Problem[] = [];
  const material = readMaterial(files, systemClock.wall(), problems);
  if (material === null) return complain(place, problems);
  const state = readRotation(files);
  if (typeof state === 'string') return failed(`${place}: ${state}`, EXIT_DATA);
  const since = state.stage === 'switched' ? state.switchedAtMs : state.startedAtMs;
  const shown = describe(material, state.stage, state.stage === 'none' ? null : since + reachMs(files));
  for (const problem of problems) process.stderr.write(`outrigger ca: ${place}: ${formatProblem(problem)}\n`);
  process.stdout.write(output === 'json' ? `${JSON.stringify(shown, null, 2)}\n` : textOf(shown));
  return 0;
}

export async function rotateRoot(action: RotationAction, flags: RotateFlags): Promise<number> {
  return await run(flags, async (store) => {
    if ((await store.read()).size === 0)
      return failed(`there is no certificate authority in ${store.place}`, EXIT_FAILED);
    for (;;) {
      const step = await attempt(store, action, flags.force === true);
      if (step.kind === 'done') {
        process.stderr.write(`outrigger ca: ${step.said}\n`);
        return 0;
      }
      if (step.kind === 'refused') return failed(step.reason, EXIT_FAILED);
      const when = new Date(step.readyAtMs).toISOString();
      if (flags.wait !== true)
        return failed(
          `${step.reason}; it is safe from ${when} on: --wait waits for that, --force does not`,
          EXIT_FAILED,
        );
      process.stderr.write(`outrigger ca: ${step.reason}; waiting until ${when}\n`);
      // Node's timers end at 24 days.
      await sleep(Math.min(Math.max(step.readyAtMs - systemClock.wall(), 0) + 1, 2 ** 31 - 1));
    }
  });
}

async function attempt(store: AuthorityStore, action: RotationAction, isForced: boolean): Promise<RotationStep> {
  let step: RotationStep = { kind: 'refused', reason: 'nothing was done' };
  await store.update(async (files) => {
    step = await rotate(files, { action, nowMs: systemClock.wall(), isForced });
    return step.kind === 'done' ? step.files : null;
  });
  return step;
}

interface Shown {
  readonly signer: { readonly subject: string; readonly fingerprint256: string; readonly notAfter: string };
  readonly roots: readonly {
    readonly subject: string;
    readonly hash: string;
    readonly notAfter: string;
    readonly signs: boolean;
  }[];
  readonly rotation: { readonly stage: string; readonly nextAt: string | null };
}

function describe({ signer, roots }: AuthorityMaterial, stage: string, readyAtMs: number | null): Shown {
  return {
    signer: { subject: signer.subject, fingerprint256: signer.fingerprint256, notAfter: dateOf(signer.notAfterMs) },
    roots: roots.map(({ subject, x509, notAfterMs }, index) => ({
      subject,
      hash: rootHash(x509),
      notAfter: dateOf(notAfterMs),
      signs: index === 0,
    })),
    rotation: { stage, nextAt: readyAtMs === null ? null : dateOf(readyAtMs) },
  };
}

function textOf({ signer, roots, rotation }: Shown): string {
  const lines = [`signer    ${signer.subject}, until ${signer.notAfter}`];
  for (const { subject, hash, notAfter, signs } of roots)
    lines.push(`root      ${subject}, until ${notAfter}${signs ? ', signs' : ''}`, `          ${hash}`);
  lines.push(`rotation  ${rotation.stage}${rotation.nextAt === null ? '' : `, next stage from ${rotation.nextAt} on`}`);
  return `${lines.join('\n')}\n`;
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}

function complain(place: string, problems: readonly Problem[]): number {
  for (const problem of problems) process.stderr.write(`outrigger ca: ${place}: ${formatProblem(problem)}\n`);
  return EXIT_DATA;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function failed(message: string, code: number): number {
  process.stderr.write(`outrigger ca: ${message}\n`);
  return code;
}
