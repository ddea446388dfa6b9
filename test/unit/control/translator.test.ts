// One resource whose translation fails unexpectedly: its last good version stays, and everything else moves on. The
// fault is planted in one leaf of the translation, for rules that redirect to /boom; all the rest is real.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { formatProblem } from '../../../src/base/problem.ts';
import { ControlService } from '../../../src/control/control.ts';
import type { View } from '../../../src/control/flow.ts';
import { offlineNode, printedView, translateFiles } from '../../../src/control/offline.ts';

vi.mock('../../../src/control/translate/redirect.ts', async (importOriginal) => {
  const real = await importOriginal<typeof import('../../../src/control/translate/redirect.ts')>();
  const redirectAction: typeof real.redirectAction = (redirect, port) => {
    if (redirect.uri === '/boom') throw new RangeError('boom');
    return real.redirectAction(redirect, port);
  };
  return { ...real, redirectAction };
});

const SERVICES = ['reviews', 'ratings', 'catalog']
  .map(
    (name) =>
      `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { ports: [{ name: http, port: 80 }] }\n`,
  )
  .join('---\n');
const rule = (host: string, uri: string, more = ''): string =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: ${host} }\nspec: { hosts: [${host}], http: [{ ${more}redirect: { uri: ${uri} } }] }\n`;

let directory = '';
let control: ControlService;
let view: View | null = null;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outrigger-translator-'));
  await writeFile(join(directory, 'services.yaml'), SERVICES);
  control = new ControlService({
    rules: directory,
    log: silentLog,
    xdsAddress: '127.0.0.1:0',
    httpAddress: '127.0.0.1:0',
    settleMs: 0,
    debounceMs: 20,
  });
});

afterEach(async () => {
  await control.stop();
  await rm(directory, { recursive: true });
});

function subscribe(labels: Record<string, string> = {}): void {
  view = null;
  const info = { id: 'sidecar~127.0.0.1~a.default~x', cluster: 'a', metadata: { LABELS: labels } };
  const opened = control.open(info, (next) => {
    view = next;
  });
  if (opened.kind === 'open') view = opened.subscription.view;
}

/** Where each host redirects to, sorted; hosts without a rule are not there. */
function redirects(): readonly string[] {
  if (view === null) return ['no view'];
  const text = JSON.stringify(printedView(view).routes);
  return [...text.matchAll(/"path_redirect":"([^"]*)"/g)].map(([, uri = '']) => uri).toSorted();
}

const problems = (): readonly string[] =>
  control.problems.map((problem) => formatProblem(problem).replace(directory, ''));

test('a rule that fails keeps its last good version, and the others of its file and directory move on', async () => {
  const file = join(directory, 'rules.yaml');
  await writeFile(file, `${rule('reviews', '/r1')}---\n${rule('ratings', '/s1')}`);
  await control.start();
  subscribe();
  await expect.poll(redirects).toEqual(['/r1', '/s1']);
  await writeFile(file, `${rule('reviews', '/boom')}---\n${rule('ratings', '/s2')}`);
  await writeFile(join(directory, 'more.yaml'), rule('catalog', '/c1'));
  await expect.poll(redirects).toEqual(['/c1', '/r1', '/s2']);
  expect(problems()).toEqual([
    '/rules.yaml:1:1: cannot be translated (boom); its last good version stays in force; write it differently, and report this as a fault',
  ]);
  await writeFile(join(directory, 'more.yaml'), rule('catalog', '/c2'));
  await expect.poll(redirects).toEqual(['/c2', '/r1', '/s2']);
  await writeFile(file, `${rule('reviews', '/r3')}---\n${rule('ratings', '/s2')}`);
  await expect.poll(redirects).toEqual(['/c2', '/r3', '/s2']);
  expect(problems()).toEqual([]);
});

test('rules that fail at the start are left out alone', async () => {
  await writeFile(join(directory, 'a.yaml'), rule('reviews', '/boom'));
  await writeFile(join(directory, 'b.yaml'), `${rule('ratings', '/boom')}---\n${rule('catalog', '/c1')}`);
  await control.start();
  subscribe();
  await expect.poll(redirects).toEqual(['/c1']);
  expect(problems().map((text) => text.slice(0, 62))).toEqual([
    '/a.yaml:1:1: cannot be translated (boom); it has no effect; wr',
    '/b.yaml:1:1: cannot be translated (boom); it has no effect; wr',
  ]);
});

test('a rule that fails only for a sidecar that comes later is found then', async () => {
  await writeFile(join(directory, 'a.yaml'), rule('reviews', '/boom', 'match: [{ sourceLabels: { app: odd } }], '));
  await writeFile(join(directory, 'b.yaml'), rule('catalog', '/c1'));
  await control.start();
  subscribe();
  await expect.poll(redirects).toEqual(['/c1']);
  expect(problems()).toEqual([]);
  subscribe({ app: 'odd' });
  await expect.poll(redirects).toEqual(['/c1']);
  await expect.poll(() => problems().length).toBe(1);
});

test('check and translate report it instead of failing', () => {
  const files = [
    { file: 'a.yaml', text: SERVICES },
    { file: 'b.yaml', text: `${rule('reviews', '/boom')}---\n${rule('catalog', '/c1')}` },
  ];
  const offline = translateFiles(files);
  expect(offline.problems.map(formatProblem)).toEqual([
    'b.yaml:1:1: cannot be translated (boom); it has no effect; write it differently, and report this as a fault',
  ]);
  const node = offlineNode({ service: 'a', version: '', apps: [], isEnvoy: false });
  if (typeof node === 'string') throw new Error(node);
  view = offline.viewOf(node);
  expect(redirects()).toEqual(['/c1']);
});
