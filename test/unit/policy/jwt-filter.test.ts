// The JWT filter on a fake clock: what is remembered and for how long, keys that a service has, the rule of our mesh
// for several tokens, and that nothing secret is ever printed. What it answers is compared with Envoy in test/peer.
import { create, fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { LocalLimits } from '../../../src/base/shared-limits.ts';
import { clusterId } from '../../../src/base/brand.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef } from '../../../src/plan/cluster.ts';
import { Exchange } from '../../../src/plan/exchange.ts';
import { FilterTally } from '../../../src/plan/filter-tally.ts';
import type { FilterScope } from '../../../src/plan/http-filter.ts';
import { CONTINUE, PAUSE, REPLY, type Step } from '../../../src/plan/plan.ts';
import type { RemoteHttpResult } from '../../../src/plan/remote-call.ts';
import { run } from '../../../src/plan/run.ts';
import { compileJwt } from '../../../src/policy/jwt-compile.ts';
import { JWT_STATS, STAT } from '../../../src/policy/jwt-stats.ts';
import { redact } from '../../../src/sidecar/admin/redact.ts';
import { JwtAuthenticationSchema } from '../../../src/xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { until } from '../../support/until.ts';
import { NO_REMOTE } from '../../support/no-remote.ts';
import { ISSUER, STRANGER, makeToken, publicJwks } from '../../support/tokens/token-maker.ts';

const KEYS_MS = 100;
const AUTHORIZATION = internHeader('authorization');
const SPOOFED = internHeader('x-sub');
const LOCAL: JsonObject = {
  issuer: ISSUER,
  local_jwks: { inline_string: publicJwks() },
  forward: true,
  payload_in_metadata: 'payload',
  claim_to_headers: [{ header_name: 'x-sub', claim_name: 'sub' }],
};
const REMOTE: JsonObject = {
  issuer: ISSUER,
  forward: true,
  remote_jwks: {
    http_uri: { uri: 'http://keys.test:8080/jwks?x=1', cluster: 'keys', timeout: '2s' },
    cache_duration: '100s',
  },
};

/** A world with one filter. */
class World {
  nowMs = Date.now();
  readonly tally = new FilterTally(JWT_STATS);
  readonly asked: string[] = [];
  readonly answers: ((result: RemoteHttpResult) => void)[] = [];
  readonly problems: string[] = [];
  #steps: readonly Step[] = [];
  readonly #asked: Asked[] = [];
  readonly scope: FilterScope;

  constructor(isMesh = false) {
    this.scope = {
      env: {
        problems: [],
        clusterRef: (name) => new ClusterRef(clusterId(name)),
        random: () => 0,
        runtimeNumber: (_key, fallback) => fallback,
      },
      path: 'jwt',
      name: 'jwt',
      bit: 1,
      statPrefix: 'main',
      place: 'in',
      serviceCluster: 'web',
      isInbound: true,
      isMesh,
      routeMatch: () => () => true,
      clock: { now: () => this.nowMs, wall: () => this.nowMs },
      limits: new LocalLimits(),
      remote: {
        ...NO_REMOTE,
        http: (cluster, { authority, path }, { done }) => {
          this.asked.push(`${cluster} ${authority}${path}`);
          this.answers.push(done);
          return { cancel: () => undefined };
        },
      },
      tally: () => this.tally,
    };
  }

  configure(provider: JsonObject, requires: JsonObject = { provider_name: 'p' }): Step {
    const json = { providers: { p: provider }, rules: [{ match: { prefix: '/' }, requires }] };
    const message = fromJson(JwtAuthenticationSchema, json);
    const typeUrl = `type.googleapis.com/${JwtAuthenticationSchema.typeName}`;
    const filter = compileJwt(
      create(AnySchema, { typeUrl, value: toBinary(JwtAuthenticationSchema, message) }),
      this.scope,
    );
    expect(this.scope.env.problems).toEqual([]);
    this.#steps = filter?.part.onRequest ?? [];
    const [step] = this.#steps;
    if (step === undefined) throw new Error('no step');
    return step;
  }

  /** What becomes of a request with these lines. */
  async ask(lines: readonly (readonly [string, string])[], path = '/'): Promise<Asked> {
    const asked = new Asked(this.#steps);
    asked.x.request.path = path;
    for (const [name, value] of lines) asked.x.request.add(internHeader(name), value);
    this.#asked.push(asked);
    asked.go();
    await this.#settle();
    return asked;
  }

  /** Until nobody waits; who waits for keys does so for longer than any signature takes. */
  async #settle(): Promise<void> {
    const startMs = performance.now();
    const isLong = (): boolean => this.answers.length > 0 && performance.now() - startMs > KEYS_MS;
    await until('signatures are checked', () => this.#asked.every((one) => !one.isWaiting) || isLong());
  }

  async with(token: string): Promise<Asked> {
    return await this.ask([['authorization', `Bearer ${token}`]]);
  }

  async answer(text: string | null): Promise<void> {
    const result: RemoteHttpResult =
      text === null
        ? { kind: 'failed', reason: 'timeout' }
        : { kind: 'answered', response: { status: 200, headers: [], body: Buffer.from(text) } };
    for (const done of this.answers.splice(0)) done(result);
    await this.#settle();
  }

  of(stat: keyof typeof STAT): number {
    return this.tally.of(STAT[stat]);
  }
}

class Asked {
  readonly x = new Exchange();
  readonly #steps: readonly Step[];
  outcome = '';

  get isWaiting(): boolean {
    return this.outcome === 'waits';
  }

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    this.x.resumer = { abandon: () => undefined, resume: (epoch) => (epoch === this.x.epoch ? this.go() : undefined) };
  }

  go(): void {
    const verdict = run(this.x, this.#steps);
    if (verdict === CONTINUE) this.outcome = 'passed';
    else if (verdict === PAUSE) this.outcome = 'waits';
    else if (verdict === REPLY) this.outcome = `${this.x.response.status} ${this.x.replyBody}`;
  }
}

describe('what is remembered', () => {
  test('a token is judged once, and shared as it is', async () => {
    const world = new World();
    world.configure(LOCAL);
    const token = makeToken();
    const first = await world.with(token);
    const second = await world.with(token);
    expect([first.outcome, second.outcome]).toEqual(['passed', 'passed']);
    expect([world.of('cacheMiss'), world.of('cacheHit'), world.of('allowed')]).toEqual([1, 1, 2]);
    const namespace = 'envoy.filters.http.jwt_authn';
    expect(second.x.metadata.get(namespace)).toBe(first.x.metadata.get(namespace));
    expect(second.x.request.get(SPOOFED)).toBe('ann');
  });

  test('a token that expires is refused from then on, a minute of skew included', async () => {
    const world = new World();
    world.configure(LOCAL);
    const exp = Math.floor(world.nowMs / 1000) + 10;
    const token = makeToken({ claims: { exp } });
    const outcomes: string[] = [];
    for (const seconds of [0, 69, 1, 1]) {
      world.nowMs = seconds === 0 ? exp * 1000 - 10_000 : world.nowMs + seconds * 1000;
      outcomes.push((await world.with(token)).outcome);
    }
    expect(outcomes).toEqual(['passed', 'passed', 'passed', '401 Jwt is expired']);
  });

  test('a token that is not good yet becomes good', async () => {
    const world = new World();
    world.configure(LOCAL);
    const token = makeToken({ claims: { nbf: Math.floor(world.nowMs / 1000) + 100 } });
    expect((await world.with(token)).outcome).toBe('401 Jwt not yet valid');
    world.nowMs += 41_000;
    expect((await world.with(token)).outcome).toBe('passed');
  });

  test('no more tokens than there is room for, those in use staying', async () => {
    const world = new World();
    world.configure({ ...LOCAL, jwt_cache_config: { jwt_cache_size: 3 } });
    const used = makeToken({ by: 'ed' });
    await world.with(used);
    for (let i = 0; i < 10; i++) {
      await world.with(makeToken({ by: 'ed', claims: { sub: `u${i}` } }));
      expect((await world.with(used)).outcome).toBe('passed');
    }
    expect(world.of('cacheHit')).toBe(10);
    expect(world.of('cacheMiss')).toBe(11);
  });

  test('bad tokens are remembered apart, and never pass', async () => {
    const world = new World();
    world.configure(LOCAL);
    const bad = makeToken({ by: STRANGER, header: { kid: 'rsa' } });
    for (let i = 0; i < 3; i++) expect((await world.with(bad)).outcome).toBe('401 Jwt verification fails');
    for (let i = 0; i < 400; i++)
      await world.with(`${bad.slice(0, -300)}${i}${bad.slice(-297 + String(i).length - 3)}`);
    expect((await world.with(makeToken())).outcome).toBe('passed');
    expect(world.of('allowed')).toBe(1);
  });
});

test.each([0, 0.5, 1])('a token that ended at %d ended', async (exp) => {
  const world = new World();
  world.configure(LOCAL);
  expect((await world.with(makeToken({ claims: { exp } }))).outcome).toBe('401 Jwt is expired');
});

describe('keys that a service has', () => {
  test('are fetched by the first token that needs them, which waits', async () => {
    const world = new World();
    world.configure(REMOTE);
    const [one, two] = [await world.with(makeToken()), await world.with(makeToken({ by: 'p256' }))];
    expect([one.outcome, two.outcome]).toEqual(['waits', 'waits']);
    expect(world.asked).toEqual(['keys keys.test:8080/jwks?x=1']);
    await world.answer(publicJwks());
    expect([one.outcome, two.outcome]).toEqual(['passed', 'passed']);
    expect([world.of('fetchSuccess'), world.of('allowed')]).toEqual([1, 2]);
  });

  test('are not asked for by a request without a token', async () => {
    const world = new World();
    world.configure(REMOTE);
    expect((await world.ask([])).outcome).toBe('401 Jwt is missing');
    expect(world.asked).toEqual([]);
  });

  test('that never came let nothing pass, and are not asked for without a pause', async () => {
    const world = new World();
    world.configure(REMOTE);
    const waiting = await world.with(makeToken());
    await world.answer(null);
    expect(waiting.outcome).toBe('401 Jwks remote fetch is failed');
    expect((await world.with(makeToken())).outcome).toBe('401 Jwks remote fetch is failed');
    expect(world.asked).toHaveLength(1);
    world.nowMs += 1001;
    const next = await world.with(makeToken());
    await world.answer('secret words');
    expect(next.outcome).toBe('401 Jwks remote fetch is failed');
    expect([world.of('fetchFailed'), world.of('allowed')]).toEqual([2, 0]);
  });

  test('are fetched again ahead of their age, and the last good ones stay', async () => {
    const world = new World();
    world.configure(REMOTE);
    const token = makeToken();
    await world.with(token);
    await world.answer(publicJwks());
    world.nowMs += 69_000;
    await world.with(token);
    expect(world.asked).toHaveLength(1);
    world.nowMs += 2_000;
    expect((await world.with(token)).outcome).toBe('passed');
    expect(world.asked).toHaveLength(2);
    await world.answer(null);
    world.nowMs += 500_000;
    expect((await world.with(makeToken({ claims: { exp: undefined } }))).outcome).toBe('passed');
  });

  test('that change make nothing of what was remembered count', async () => {
    const world = new World();
    world.configure(REMOTE);
    const token = makeToken();
    await world.with(token);
    await world.answer(publicJwks());
    expect((await world.with(token)).outcome).toBe('passed');
    world.nowMs += 90_000;
    await world.with(token);
    await world.answer(publicJwks(['p256']));
    expect((await world.with(token)).outcome).toMatch(/waits|key to match kid/);
  });

  test('of an unknown kid are fetched once in a while', async () => {
    const world = new World();
    world.configure(REMOTE);
    await world.with(makeToken());
    await world.answer(publicJwks(['rsa']));
    world.nowMs += 31_000;
    const rotated = await world.with(makeToken({ by: 'p256' }));
    expect(rotated.outcome).toBe('waits');
    await world.answer(publicJwks(['rsa', 'p256']));
    expect(rotated.outcome).toBe('passed');
    for (let i = 0; i < 20; i++) {
      const unknown = await world.with(makeToken({ header: { kid: `k${i}` } }));
      expect(unknown.outcome).toBe("401 Jwks doesn't have key to match kid or alg from Jwt");
    }
    expect(world.asked).toHaveLength(2);
  });

  test('outlive the filter that asked for them', async () => {
    const world = new World();
    world.configure(REMOTE);
    await world.with(makeToken());
    await world.answer(publicJwks());
    world.configure(REMOTE);
    expect((await world.with(makeToken())).outcome).toBe('passed');
    expect(world.asked).toHaveLength(1);
  });

  test('do not wake a request that is another one by now', async () => {
    const world = new World();
    world.configure(REMOTE);
    const gone = await world.with(makeToken());
    gone.x.reset();
    gone.outcome = 'gone';
    await world.answer(publicJwks());
    expect(gone.outcome).toBe('gone');
  });
});

describe('several tokens in a request', () => {
  const pair = [['authorization', `Bearer ${makeToken()}`]] as const;
  const path = `/?access_token=${makeToken()}`;
  test('are refused in our mesh, good as they are', async () => {
    const world = new World(true);
    world.configure(LOCAL);
    expect((await world.ask(pair, path)).outcome).toBe('401 Found multiple Jwt tokens');
    expect((await world.ask(pair)).outcome).toBe('passed');
  });
  test('pass elsewhere when all are good, as with Envoy', async () => {
    const world = new World();
    world.configure(LOCAL);
    expect((await world.ask(pair, path)).outcome).toBe('passed');
  });
});

test('headers that outputs write are taken out of every request, also where nothing is required', async () => {
  const world = new World();
  world.configure(LOCAL, { allow_missing_or_failed: {} });
  const asked = await world.ask([['x-sub', 'admin']]);
  expect([asked.outcome, asked.x.request.has(SPOOFED)]).toEqual(['passed', false]);
});

test('in our mesh their spellings with underscores are taken out too: some servers read them as the header', async () => {
  const world = new World(true);
  world.configure(LOCAL, { allow_missing_or_failed: {} });
  const disguise = internHeader('x_sub');
  const asked = await world.ask([
    ['x_sub', 'admin'],
    ['x_other', 'kept'],
  ]);
  expect([asked.outcome, asked.x.request.has(disguise)]).toEqual(['passed', false]);
  expect(asked.x.request.has(internHeader('x_other'))).toBe(true);
});

test.each(['content-length', 'Transfer-Encoding', 'host', 'x-forwarded-client-cert'])(
  'no claim and no payload is written into %s',
  (name) => {
    const world = new World();
    const outputs = { forward_payload_header: name, claim_to_headers: [{ header_name: name, claim_name: 'sub' }] };
    expect(() => world.configure({ ...LOCAL, ...outputs })).toThrow();
    expect(world.scope.env.problems.map(({ path }) => path)).toEqual([
      'jwt.providers["p"].claim_to_headers[0].header_name',
      'jwt.providers["p"].forward_payload_header',
    ]);
  },
);

test('a claim that would end its line never becomes a header', async () => {
  const world = new World();
  world.configure(LOCAL);
  const asked = await world.with(makeToken({ claims: { sub: 'a\r\nx-admin: 1' } }));
  expect([asked.outcome, asked.x.request.has(SPOOFED)]).toEqual(['passed', false]);
  expect((await world.with(makeToken({ claims: { sub: 'grün' } }))).x.request.get(SPOOFED)).toBe('gr\u00c3\u00bcn');
});

test('a token taken out of the query leaves the other parameters as they are', async () => {
  const world = new World();
  world.configure({ ...LOCAL, forward: false });
  const asked = await world.ask([], `/a?z=%26&access_token=${makeToken()}&b&a=1`);
  expect([asked.outcome, asked.x.request.path]).toEqual(['passed', '/a?z=%26&b&a=1']);
  expect((await world.ask([], `/a?access_token=${makeToken()}`)).x.request.path).toBe('/a');
});

test('neither keys nor tokens are printed', async () => {
  const world = new World();
  const step = world.configure(LOCAL);
  await world.with(makeToken());
  expect(JSON.stringify(step.arg)).toBe('{"providers":[{"name":"p","issuer":"https://issuer.test"}],"rules":["p"]}');
  const dumped = JSON.stringify(redact({ local_jwks: { inline_string: publicJwks(['oct']) } }));
  expect(dumped).toBe('{"local_jwks":{"inline_string":"[redacted]"}}');
  expect(JSON.stringify(redact({ local_jwks: { inline_string: publicJwks(['rsa']) } }))).toContain('AQAB');
  expect((await world.with(makeToken())).x.request.get(AUTHORIZATION)).toContain('Bearer');
});
