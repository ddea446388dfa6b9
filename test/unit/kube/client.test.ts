// What the client makes of answers, of answers that are none, and of credentials that change.
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer as createMute } from 'node:net';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { plainAccess, type KubeAccess } from '../../../src/kube/access.ts';
import { KubeClient } from '../../../src/kube/client.ts';
import { TokenFile } from '../../../src/kube/credentials.ts';
import { KNOWN_KINDS } from '../../../src/kube/known-kinds.ts';
import { listen } from '../../support/free-port.ts';
import { sendJson, sendStatus } from './watch-server.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const OBJECT = { metadata: { name: 'a', namespace: 'shop', resourceVersion: '1' } };
const NAME = { namespace: 'shop', name: 'a' };
const { configMap } = KNOWN_KINDS;

let server: Server;
let folder: string;
let url: string;
let clients: KubeClient[];
let answers: Answer[];
let asked: string[];
let answer: Answer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outrigger-kube-client-'));
  clients = [];
  answers = [];
  asked = [];
  answer = (_, response) => sendJson(response, 200, OBJECT);
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''}`.trim());
    request.resume();
    const next = answers.shift() ?? answer;
    request.once('end', () => next(request, response));
  });
  url = `http://127.0.0.1:${await listen(server)}`;
});
afterEach(async () => {
  await Promise.all(clients.map(async (client) => await client.close()));
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await rm(folder, { recursive: true, force: true });
});

function client(access: Partial<KubeAccess> = {}, timeoutMs = 5000): KubeClient {
  const made = new KubeClient({ access: plainAccess({ url, ...access }), timeoutMs, random: () => 0 });
  clients.push(made);
  return made;
}

const failureOf = async (made = client()): Promise<object> => {
  const got = await made.get(configMap, NAME);
  return got.kind === 'failed' ? got.failure : { status: 200 };
};

describe('a failure', () => {
  test('carries status, reason, message and the fields', async () => {
    answer = (_, response) =>
      sendJson(response, 422, {
        kind: 'Status',
        code: 422,
        reason: 'Invalid',
        message: 'spec is wrong',
        details: { causes: [{ reason: 'FieldValueRequired', field: 'spec.hosts', message: 'Required value' }, 7] },
      });
    expect(await failureOf()).toEqual({
      status: 422,
      reason: 'Invalid',
      message: 'spec is wrong',
      causes: [
        { field: 'spec.hosts', message: 'Required value' },
        { field: '', message: '' },
      ],
      retryAfterMs: 0,
    });
  });

  const ODD: readonly (readonly [string, Answer, object])[] = [
    ['of a proxy', (_, to) => to.writeHead(502).end('<html>'), { status: 502, reason: 'HTTP 502' }],
    ['without a body', (_, to) => to.writeHead(403).end(), { status: 403, reason: 'Forbidden' }],
    ['that is no JSON', (_, to) => to.writeHead(200).end('{'), { status: 0, reason: 'Malformed' }],
    ['that is no object', (_, to) => sendJson(to, 200, []), { status: 0, reason: 'Malformed' }],
    ['that is no HTTP', (_, to) => to.socket?.end('hello\r\n\r\n'), { status: 0, reason: 'Unreachable' }],
    [
      'that is cut in its body',
      (_, to) => {
        to.writeHead(200, { 'content-length': '100' }).write('{', () => to.destroy());
      },
      { status: 0, reason: 'Closed' },
    ],
  ];
  test.each(ODD)('%s is a failure and never a rejection', async (_, odd, wanted) => {
    answer = odd;
    expect(await failureOf()).toMatchObject(wanted);
  });

  test('of a server that is not there says so', async () => {
    expect(await failureOf(client({ url: 'http://127.0.0.1:1' }))).toMatchObject({ status: 0, reason: 'Unreachable' });
  });

  test('of a call that takes too long comes in time', async () => {
    answer = () => {};
    const sinceMs = performance.now();
    expect(await failureOf(client({}, 100))).toMatchObject({ status: 0, reason: 'Timeout' });
    expect(performance.now() - sinceMs).toBeLessThan(1000);
  });

  test('of a handshake that never ends comes in time', async () => {
    const mute = createMute();
    const port = await listen(mute);
    const sinceMs = performance.now();
    const got = await failureOf(client({ url: `https://127.0.0.1:${port}` }, 100));
    expect(got).toMatchObject({ status: 0, reason: 'Timeout' });
    expect(performance.now() - sinceMs).toBeLessThan(1000);
    mute.close();
  });

  test('of a body without an end comes in time', async () => {
    answer = (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 10);
      response.once('close', () => clearInterval(timer));
    };
    expect(await failureOf(client({}, 150))).toMatchObject({ status: 0, reason: 'Timeout' });
  });

  test('of an answer that is too long is not read to its end', async () => {
    const chunk = Buffer.alloc(1024 * 1024, ' ');
    answer = (_, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    };
    expect(await failureOf()).toMatchObject({ status: 0, reason: 'TooLarge' });
  });
});

const putOff = (status: number, after: string): Answer => {
  return (_, response) => sendStatus(response, status, 'TooManyRequests', after === '' ? {} : { 'retry-after': after });
};

describe('a call', () => {
  const AGAIN: readonly (readonly [string, Answer, number])[] = [
    ['429', putOff(429, ''), 2],
    ['429 with Retry-After', putOff(429, '1'), 2],
    ['503 with Retry-After', putOff(503, '1'), 2],
    ['503 alone', putOff(503, ''), 1],
    ['429 beyond its deadline', putOff(429, '60'), 1],
    ['a cut connection', (_, response) => response.destroy(), 2],
  ];
  test.each(AGAIN)('after %s is made again while that is sensible', async (_, first, times) => {
    answers.push(first);
    await client().get(configMap, NAME);
    expect(asked).toHaveLength(times);
  });

  test('that makes something is not made twice when its answer is lost', async () => {
    answer = (_, response) => response.destroy();
    const made = await client().create(configMap, { metadata: NAME_DRAFT });
    expect([asked.length, made.kind]).toEqual([1, 'failed']);
    asked.length = 0;
    await client().apply(configMap, { metadata: NAME_DRAFT }, { fieldManager: 'test' });
    expect(asked.length).toBeGreaterThan(1);
  });

  test('goes below the path of the server, with what it is given', async () => {
    const made = client({ url: `${url}/k8s/clusters/c-1` });
    await made.apply(configMap, { metadata: NAME_DRAFT }, { fieldManager: 'a b', isForced: true, isDryRun: true });
    await made.list(configMap, { labelSelector: 'a in (b,c)', fieldSelector: 'metadata.name=x' });
    await made.get(KNOWN_KINDS.namespace, { namespace: '', name: 'shop' });
    await made.get(KNOWN_KINDS.deployment, NAME, { subresource: 'scale' });
    expect(asked).toEqual([
      'PATCH /k8s/clusters/c-1/api/v1/namespaces/shop/configmaps/a?fieldManager=a%20b&dryRun=All&force=true',
      'GET /k8s/clusters/c-1/api/v1/configmaps?labelSelector=a%20in%20(b%2Cc)&fieldSelector=metadata.name%3Dx&limit=500',
      'GET /k8s/clusters/c-1/api/v1/namespaces/shop',
      'GET /k8s/clusters/c-1/apis/apps/v1/namespaces/shop/deployments/a/scale',
    ]);
  });

  test('cannot leave its path by a name', async () => {
    await client().get(configMap, { namespace: '../..', name: 'a/../../secrets?x' });
    expect(asked).toEqual(['GET /api/v1/namespaces/..%2F../configmaps/a%2F..%2F..%2Fsecrets%3Fx']);
  });

  test('after the end fails at once', async () => {
    const made = client();
    await made.close();
    expect(await failureOf(made)).toMatchObject({ reason: 'Stopped' });
  });
});

const NAME_DRAFT = { name: 'a', namespace: 'shop' };

describe('a token in a file', () => {
  test('is read again when the server refuses it', async () => {
    const path = join(folder, 'token');
    await writeFile(path, 'old\n');
    const made = client({ credentials: new TokenFile(path, systemClock) });
    await made.get(configMap, NAME);
    await writeFile(path, 'new\n');
    answer = (request, response) => {
      if (request.headers.authorization === 'Bearer new') sendJson(response, 200, OBJECT);
      else sendStatus(response, 401, 'Unauthorized');
    };
    expect((await made.get(configMap, NAME)).kind).toBe('done');
    expect(asked.map((line) => line.split(' ').at(-1))).toEqual(['old', 'old', 'new']);
  });

  test('is read again after ten seconds', async () => {
    const path = join(folder, 'token');
    await writeFile(path, 'old');
    let nowMs = 0;
    const file = new TokenFile(path, { now: () => nowMs, wall: () => nowMs });
    const shown = async (): Promise<string> => {
      const what = await file.show();
      return typeof what === 'string' ? what : (what.token?.reveal() ?? '');
    };
    expect(await shown()).toBe('old');
    await writeFile(path, 'new');
    nowMs = 9_999;
    expect(await shown()).toBe('old');
    nowMs = 10_000;
    expect(await shown()).toBe('new');
    await rm(path);
    nowMs = 20_000;
    expect(await shown()).toBe('new');
  });

  test('that is missing, or is none, is said to be, without what stands there', async () => {
    const path = join(folder, 'token');
    const missing = await failureOf(client({ credentials: new TokenFile(path, systemClock) }));
    expect(missing).toMatchObject({ status: 0, reason: 'NoCredentials', message: `there is no token in ${path}` });
    await writeFile(path, 'two words');
    const none = await failureOf(client({ credentials: new TokenFile(path, systemClock) }));
    expect(none).toMatchObject({ message: `what stands in ${path} is no token` });
  });
});
