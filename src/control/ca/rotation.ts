// Exchanges the root of the mesh in stages, each a change of the authority's files. A stage begins only when the one
// before it can have reached everybody: after the longest life of a certificate each sidecar has renewed, and with
// that has the roots of then, or has no valid certificate any more.
//
//            start                switch               finish
//   old ─────────────► old signs ─────────► new signs ─────────► new
//    ▲      abort      both trusted ◄─────── both trusted
//    └────────────────────┘          abort
import { assertNever } from '../../base/assert.ts';
import { error, formatProblem, type Problem } from '../../base/problem.ts';
import { parseCertificates } from '../../tls/certificate.ts';
import {
  CHAIN,
  LIFETIME,
  OTHER_CERTIFICATE,
  OTHER_KEY,
  ROOTS,
  ROTATION,
  SIGNER_CERTIFICATE,
  SIGNER_KEY,
  type AuthorityFiles,
} from './authority-files.ts';
import { readMaterial } from './authority-material.ts';
import { makeRoot } from './root-certificate.ts';

export const ROTATION_ACTIONS = ['start', 'switch', 'finish', 'abort'] as const;
export type RotationAction = (typeof ROTATION_ACTIONS)[number];

export interface RotationState {
  /** `none`: one root. `started`: both trusted, the old one signs. `switched`: both trusted, the new one signs. */
  readonly stage: 'none' | 'started' | 'switched';
  /** Since when both are trusted. */
  readonly startedAtMs: number;
  /** Since when the new one signs; 0 while it never has. */
  readonly switchedAtMs: number;
  /** Until when certificates of the new one may be valid although it does not sign any more; 0: it never signed. */
  readonly newSignedUntilMs: number;
}

export type RotationStep =
  | { readonly kind: 'done'; readonly files: AuthorityFiles; readonly said: string }
  | { readonly kind: 'refused'; readonly reason: string }
  /** It is too early; `readyAtMs` says when it is not. */
  | { readonly kind: 'early'; readonly reason: string; readonly readyAtMs: number };

export interface RotationRequest {
  readonly action: RotationAction;
  readonly nowMs: number;
  /** Does not wait for certificates to end: connections may fail. */
  readonly isForced: boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** By then each control service has read changed files, and clocks agree. */
export const NOTICE_MS = 15_000;
const NONE: RotationState = { stage: 'none', startedAtMs: 0, switchedAtMs: 0, newSignedUntilMs: 0 };

/** The state, or what is wrong with the file of it. */
export function readRotation(files: AuthorityFiles): RotationState | string {
  const text = files.get(ROTATION);
  if (text === undefined) return NONE;
  try {
    const given: unknown = JSON.parse(text);
    if (typeof given !== 'object' || given === null) return `${ROTATION} is not what outrigger wrote`;
    const stage = 'stage' in given ? given.stage : null;
    if (stage !== 'started' && stage !== 'switched') return `${ROTATION} names no stage of a rotation`;
    const time = (name: string): number => Number(new Map<string, unknown>(Object.entries(given)).get(name) ?? 0);
    const [startedAtMs, switchedAtMs, newSignedUntilMs] = [
      time('startedAtMs'),
      time('switchedAtMs'),
      time('newSignedUntilMs'),
    ];
    if (![startedAtMs, switchedAtMs, newSignedUntilMs].every((ms) => Number.isFinite(ms)))
      return `${ROTATION} holds a time that is none`;
    return { stage, startedAtMs, switchedAtMs, newSignedUntilMs };
  } catch {
    return `${ROTATION} is not JSON`;
  }
}

/** How long it takes until a change has reached everybody. */
export function reachMs(files: AuthorityFiles): number {
  const noted = Number(files.get(LIFETIME) ?? Number.NaN);
  return (noted > 0 ? noted : DAY_MS) + NOTICE_MS;
}

/** What the action makes of the files. Rejects only when no key can be made. */
export async function rotate(files: AuthorityFiles, request: RotationRequest): Promise<RotationStep> {
  const state = readRotation(files);
  if (typeof state === 'string') return refused(state);
  const problems: Problem[] = [];
  const material = readMaterial(files, request.nowMs, problems);
  // In the middle of a rotation going on, or back, may be the very remedy.
  if (material === null && state.stage === 'none')
    return refused(problems.map((problem) => formatProblem(problem)).join('; '));
  if (material !== null && !material.isSelfSigned) {
    const problem = error(
      SIGNER_CERTIFICATE,
      'is signed by a root that is not ours',
      `write both roots into ${ROOTS}, wait until everybody has them, then replace the signer`,
    );
    return refused(formatProblem(problem));
  }
  switch (request.action) {
    case 'start':
      return await start(files, state, request);
    case 'switch':
      return switchOver(files, state, request);
    case 'finish':
      return finish(files, state, request);
    case 'abort':
      return abort(files, state, request);
    default:
      return assertNever(request.action);
  }
}

async function start(
  files: AuthorityFiles,
  { stage }: RotationState,
  { nowMs }: RotationRequest,
): Promise<RotationStep> {
  if (stage !== 'none') return refused('a rotation is under way: switch, finish or abort it');
  const [signer] = read(files, SIGNER_CERTIFICATE);
  const organization = /(?:^|,)O=([^,]+)/.exec(signer?.subject ?? '')?.[1] ?? 'cluster.local';
  const { certificate, key } = await makeRoot(organization, nowMs);
  const state = { stage: 'started', startedAtMs: nowMs, switchedAtMs: 0, newSignedUntilMs: 0 } as const;
  const next = changed(files, state, [
    [OTHER_CERTIFICATE, certificate],
    [OTHER_KEY, key],
    [ROOTS, `${ended(files.get(ROOTS) ?? '')}${certificate}`],
  ]);
  return { kind: 'done', files: next, said: 'a new root is trusted beside the old one, which signs' };
}

function switchOver(files: AuthorityFiles, state: RotationState, request: RotationRequest): RotationStep {
  if (state.stage !== 'started') return refused(wrongStage(state, 'switch', 'start'));
  const readyAtMs = state.startedAtMs + reachMs(files);
  if (request.nowMs < readyAtMs && !request.isForced)
    return { kind: 'early', readyAtMs, reason: 'sidecars may not know the new root yet' };
  const next = changed(files, { ...state, stage: 'switched', switchedAtMs: request.nowMs }, swapped(files));
  return { kind: 'done', files: next, said: 'the new root signs; both are trusted' };
}

function finish(files: AuthorityFiles, state: RotationState, request: RotationRequest): RotationStep {
  if (state.stage !== 'switched') return refused(wrongStage(state, 'finish', 'switch'));
  const readyAtMs = state.switchedAtMs + reachMs(files);
  if (request.nowMs < readyAtMs && !request.isForced)
    return { kind: 'early', readyAtMs, reason: 'certificates of the old root may still be valid' };
  return { kind: 'done', files: withoutOther(files), said: 'the old root is trusted no longer' };
}

function abort(files: AuthorityFiles, state: RotationState, request: RotationRequest): RotationStep {
  switch (state.stage) {
    case 'none':
      return refused('no rotation is under way');
    case 'switched': {
      const newSignedUntilMs = request.nowMs + reachMs(files);
      const back = changed(files, { ...state, stage: 'started', switchedAtMs: 0, newSignedUntilMs }, swapped(files));
      return {
        kind: 'done',
        files: back,
        said: 'the old root signs again; both are trusted: abort once more to end it',
      };
    }
    case 'started':
      if (request.nowMs < state.newSignedUntilMs && !request.isForced) {
        const reason = 'certificates of the new root may still be valid';
        return { kind: 'early', readyAtMs: state.newSignedUntilMs, reason };
      }
      return { kind: 'done', files: withoutOther(files), said: 'the new root is trusted no longer' };
    default:
      return assertNever(state.stage);
  }
}

/** The root that signs and the other one change their places. */
function swapped(files: AuthorityFiles): readonly (readonly [string, string])[] {
  return [
    [SIGNER_CERTIFICATE, files.get(OTHER_CERTIFICATE) ?? ''],
    [SIGNER_KEY, files.get(OTHER_KEY) ?? ''],
    [OTHER_CERTIFICATE, files.get(SIGNER_CERTIFICATE) ?? ''],
    [OTHER_KEY, files.get(SIGNER_KEY) ?? ''],
    [CHAIN, ''],
  ];
}

function changed(
  files: AuthorityFiles,
  state: RotationState,
  changes: readonly (readonly [string, string])[],
): AuthorityFiles {
  return new Map([...files, ...changes, [ROTATION, `${JSON.stringify(state)}\n`]]);
}

function withoutOther(files: AuthorityFiles): AuthorityFiles {
  const next = new Map(files);
  const dropped = new Set(read(files, OTHER_CERTIFICATE).map(({ fingerprint256 }) => fingerprint256));
  const kept = read(files, ROOTS).filter(({ fingerprint256 }) => !dropped.has(fingerprint256));
  next.set(ROOTS, kept.map(({ pem }) => pem).join(''));
  for (const name of [OTHER_CERTIFICATE, OTHER_KEY, ROTATION]) next.delete(name);
  return next;
}

function read(files: AuthorityFiles, name: string): Exclude<ReturnType<typeof parseCertificates>, string> {
  const certificates = parseCertificates(files.get(name) ?? '');
  return typeof certificates === 'string' ? [] : certificates;
}

function wrongStage({ stage }: RotationState, action: string, before: string): string {
  return stage === 'none'
    ? `${action} comes after ${before}, and no rotation is under way`
    : `${action} was done already`;
}

function ended(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function refused(reason: string): RotationStep {
  return { kind: 'refused', reason };
}
