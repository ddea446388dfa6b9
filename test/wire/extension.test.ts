// Extensions in a sidecar: what they can do, what is refused before one runs, and that the mistakes of one stay its own.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf, ExtensionBench, moduleOf } from './extension-bench.ts';

const bench = new ExtensionBench();

/** What a filter says of a module with this text. */
function at(text: string, name: string): Record<string, string> {
  writeFileSync(join(bench.folder, `${name}.ts`), text);
  return { module: name, digest: digestOf(text) };
}

beforeAll(async () => await bench.start());
afterAll(async () => await bench.close());

const SCHEMA = `export const configSchema = { type: 'object', additionalProperties: false, required: ['header'],
  properties: { header: { type: 'string' }, times: { type: 'integer', minimum: 1 } } };`;

describe('an extension', () => {
  it('reads, changes and answers requests in each phase, by Struct and TypedStruct', async () => {
    const steps = `{
      onRequest(x) {
        if (x.request.get(who) === 'nobody') { x.reply(418, 'go away'); x.replyHeader(why, 'nobody'); }
        x.request.set(seen, [x.method, x.path, env.isInbound, x.peerAddress].join(' '));
        x.isMarked = x.request.has(who);
      },
      onAttempt(x) { x.request.set(attempt, String(x.attempts)); },
      onResponse(x) {
        x.response.remove(secret);
        x.response.set(marked, String(x.isMarked) + ' ' + x.status + ' ' + config.header);
      },
      onEnd() {},
    }`;
    const names = ['who', 'why', 'seen', 'attempt', 'secret', 'marked'];
    const given = bench.add('phases', moduleOf('phases', steps, { more: SCHEMA, names }));
    for (const isTyped of [false, true]) {
      const { ask, stat } = await bench.serve({ ...given, config: { header: 'x-a' } }, { isTyped });
      const response = await ask({ 'x-who': 'me' }, '/a?b');
      expect([response.status, await response.text()]).toEqual([200, 'app']);
      expect(bench.seen.at(-1)).toMatchObject({ 'x-seen': 'GET /a?b false 127.0.0.1', 'x-attempt': '1' });
      expect([response.headers.get('x-secret'), response.headers.get('x-marked')]).toEqual([null, 'true 200 x-a']);
      const seen = bench.seen.length;
      const refused = await ask({ 'x-who': 'nobody' });
      expect([refused.status, await refused.text(), refused.headers.get('x-why')]).toEqual([418, 'go away', 'nobody']);
      expect([bench.seen.length, stat('test.replied'), stat('test.failed')]).toEqual([seen, 1, 0]);
    }
  });

  const FAILING: readonly (readonly [string, string, RegExp])[] = [
    ['throws', `{ onRequest() { throw new Error('broken'); } }`, /Error: broken/],
    ['throws something else', `{ onRequest() { throw 1; } }`, /it threw no Error/],
    ['returns a promise', `{ onRequest: async () => { throw new Error('late'); } }`, /it returned a promise/],
    [
      'changes framing',
      `((length) => ({ onRequest(x) { x.request.set(length, '0'); } }))(env.header('Content-Length'))`,
      /frames the message/,
    ],
    ['smuggles a field', String.raw`{ onRequest(x) { x.request.set(a, 'b\r\nc: d'); } }`, /control character/],
    ['makes up a name', `{ onRequest(x) { x.request.set('a', 'b'); } }`, /made by env.header/],
    ['answers nonsense', `{ onRequest(x) { x.reply(42, ''); } }`, /status of 200 to 599/],
  ];
  it.each(FAILING)(
    'that %s costs its request what its policy says, and the next one nothing',
    async (name, steps, reason) => {
      const module = name.replaceAll(' ', '-');
      const given = bench.add(module, moduleOf(module, steps, { names: ['a'] }));
      const closed = await bench.serve({ ...given, config: {} });
      bench.lines.length = 0;
      const refused = await closed.ask();
      expect([refused.status, await refused.text()]).toEqual([503, 'extension failed']);
      expect(refused.headers.get('x-outrigger-error')).toBe('-; extension outrigger.extension/test; extension_failed');
      expect(bench.lines.join('')).toMatch(
        /"an extension failed","extension":"outrigger.extension\/test","phase":"onRequest"/,
      );
      expect(bench.lines.join('')).toMatch(reason);
      expect([closed.stat('test.failed'), closed.stat('test.failed_closed')]).toEqual([1, 1]);
      const open = await bench.serve({ ...given, failurePolicy: 'FailOpen' });
      const passed = await open.ask();
      expect([passed.status, await passed.text()]).toEqual([200, 'app']);
      expect([open.stat('test.failed'), open.stat('test.failed_open')]).toEqual([1, 1]);
    },
  );

  it('that fails for one request is there for the next', async () => {
    const steps = `{ onRequest(x) { if (x.path === '/bad') throw new Error('bad'); x.request.set(ok, '1'); } }`;
    const { ask } = await bench.serve(bench.add('moody', moduleOf('moody', steps, { names: ['ok'] })));
    expect((await ask({}, '/bad')).status).toBe(503);
    expect((await ask({}, '/good')).status).toBe(200);
    expect(bench.seen.at(-1)).toMatchObject({ 'x-ok': '1' });
  });

  const SPIN = `{ onRequest(x) { x.request.set(calls, String(++count)); const end = performance.now() + 40;
    if (count === 2) while (performance.now() < end); } }`;
  it.each([
    ['FailOpen', [200, 200, 200, 200]],
    ['FailClosed', [200, 503, 503, 503]],
  ])('that overruns its time is not called any more: %s', async (failurePolicy, statuses) => {
    const given = bench.add(
      `slow-${failurePolicy.toLowerCase()}`,
      moduleOf(`slow-${failurePolicy.toLowerCase()}`, SPIN, { more: 'let count = 0;', names: ['calls'] }),
    );
    const { ask, stat } = await bench.serve({ ...given, failurePolicy, timeBudgetMs: 20 });
    bench.lines.length = 0;
    const answers = [];
    for (const path of ['/1', '/2', '/3', '/4']) answers.push(await ask({}, path));
    expect(answers.map(({ status }) => status)).toEqual(statuses);
    const isOpen = failurePolicy === 'FailOpen';
    if (isOpen) expect(bench.seen.slice(-2).map((headers) => headers['x-calls'])).toEqual([undefined, undefined]);
    const refusal = answers.map(({ headers }) => headers.get('x-outrigger-error')?.split('; ')[2] ?? '');
    expect(refusal).toEqual(
      isOpen ? ['', '', '', ''] : ['', 'extension_overran', 'extension_cut_off', 'extension_cut_off'],
    );
    expect([stat('test.calls'), stat('test.overran')]).toEqual([2, 1]);
    expect(bench.lines.join('')).toMatch(
      /overran its time and is not called any more","extension":"outrigger.extension\/test"/,
    );
  });
});

describe('a configuration', () => {
  const GOOD = moduleOf('good', '{}', { more: SCHEMA });
  const config = { header: 'x' };
  const REFUSED: readonly (readonly [string, () => Record<string, unknown>, string])[] = [
    [
      'of a module that is not there',
      () => ({ module: 'none', digest: digestOf('') }),
      'module: there is no extension "none" here',
    ],
    [
      'that climbs out of the folder',
      () => ({ module: '../good', digest: digestOf('') }),
      'module: there is no extension "../good" here',
    ],
    ['without a digest', () => ({ module: 'good' }), 'digest: is no digest'],
    ['with another digest', () => ({ ...at(GOOD, 'good'), digest: digestOf('x'), config }), `has ${digestOf(GOOD)}`],
    ['without what its schema wants', () => at(GOOD, 'good'), 'config.header: is missing'],
    ['with a wrong type', () => ({ ...at(GOOD, 'good'), config: { header: 1 } }), 'config.header: is number'],
    [
      'with too small a number',
      () => ({ ...at(GOOD, 'good'), config: { ...config, times: 0 } }),
      'config.times: is too small',
    ],
    [
      'with an unknown field',
      () => ({ ...at(GOOD, 'good'), config: { ...config, heder: 1 } }),
      'config.heder: is not known',
    ],
    [
      'of a module with another version',
      () => at(GOOD.replace('/v1', '/v2'), 'good'),
      'module: is written for "outrigger.dev/extension/v2"',
    ],
    ['of a module with another name', () => at(moduleOf('other', '{}'), 'mine'), 'module: calls itself "other"'],
    ['of a module that exports nothing', () => at('export {};', 'empty'), 'module: does not export'],
    ['of a module that is no code', () => at('}', 'wrong'), 'module: cannot be loaded'],
    ['of a module that throws', () => at('throw new Error("no");', 'throws'), 'module: cannot be loaded: no'],
    [
      'of a module that imports',
      () => at(`import 'node:net'; ${moduleOf('net', '{}')}`, 'net'),
      'it imports "node:net"',
    ],
    [
      'of a module that imports a file',
      () => at(`import './good.ts'; ${moduleOf('file', '{}')}`, 'file'),
      'it imports "./good.ts"',
    ],
    [
      'of a module that waits at its top',
      () => at(`await 1; ${moduleOf('waits', '{}')}`, 'waits'),
      'module: cannot be loaded',
    ],
    [
      'with a schema that we do not know',
      () => at(moduleOf('s', '{}', { more: 'export const configSchema = { if: true };' }), 's'),
      'configSchema.if: this keyword',
    ],
    [
      'that the module refuses',
      () => at(moduleOf('r', `(env.problem('a.b', 'no', 'yes'), null)`), 'r'),
      'config.a.b: no; yes',
    ],
    [
      'at which the module throws',
      () => at(moduleOf('t', `(() => { throw new Error('what'); })()`), 't'),
      'config: the extension threw: what',
    ],
    ['whose steps are none', () => at(moduleOf('n', '{ onStart() {} }'), 'n'), 'module: compile returned no steps'],
    [
      'for a module without configuration',
      () => ({ ...at(moduleOf('p', '{}'), 'p'), config: { a: 1 } }),
      'config: the extension takes no configuration',
    ],
    ['with a wrong policy', () => ({ ...at(GOOD, 'good'), config, failurePolicy: 'Open' }), 'failurePolicy: is none'],
    ['with no time', () => ({ ...at(GOOD, 'good'), config, timeBudgetMs: 0 }), 'timeBudgetMs: is no budget'],
    [
      'with a field too many',
      () => ({ ...at(GOOD, 'good'), config, failurPolicy: 'FailOpen' }),
      'failurPolicy: is not known',
    ],
    [
      'of ours with a digest',
      () => ({ module: 'outrigger/header-guard', digest: digestOf('') }),
      'digest: outrigger/header-guard is a part',
    ],
  ];
  it.each(REFUSED)('%s is refused', (_name, filter, expected) => {
    const given = JSON.parse(JSON.stringify(filter()));
    expect(bench.problems(given).join('\n')).toContain(expected);
  });
});

describe('the extensions of ours', () => {
  it('guard fields of requests and hide those of responses', async () => {
    const config = { forbid: ['x-internal'], require: ['x-tenant'], hide: ['X-Secret'] };
    const { ask } = await bench.serve({ module: 'outrigger/header-guard', config });
    const passed = await ask({ 'x-tenant': 'a' });
    expect([passed.status, passed.headers.get('x-secret')]).toEqual([200, null]);
    expect((await ask({ 'x-tenant': 'a', 'x-internal': '1' })).status).toBe(403);
    expect([(await ask()).status, (await ask({ 'x-tenant': '' })).status]).toEqual([400, 400]);
  });

  it('class requests by path unless the client may say it', async () => {
    const paths = [
      { prefix: '/', class: 'page' },
      { prefix: '/api/', class: 'api' },
    ];
    const { ask } = await bench.serve({
      module: 'outrigger/request-class',
      config: { default: 'rest', paths, allowed: ['batch'] },
    });
    const classOf = async (path: string, headers = {}): Promise<unknown> => {
      await ask(headers, path);
      return bench.seen.at(-1)?.['x-request-class'];
    };
    expect(await classOf('/a')).toBe('page');
    expect(await classOf('/api/b')).toBe('api');
    expect(await classOf('/api/b', { 'x-request-class': 'batch' })).toBe('batch');
    expect(await classOf('/api/b', { 'x-request-class': 'critical' })).toBe('api');
  });
});
