// Which answers and failures meet which condition: every word of retry_on against every kind of outcome.
import { describe, expect, test } from 'vitest';
import { internHeader } from '../../../src/http/header-name.ts';
import { Head } from '../../../src/http/head.ts';
import { failure, type FailureKind } from '../../../src/plan/failure.ts';
import { EMPTY_RETRY_PLAN, type RetryPlan } from '../../../src/plan/retry-plan.ts';
import { retriesFailure, retriesResponse } from '../../../src/resilience/retry-decision.ts';
import { readRetryWords } from '../../../src/resilience/retry-words.ts';

const HTTP_WORDS = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
];
const GRPC_WORDS = ['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable'];
const WORDS = [...HTTP_WORDS, ...GRPC_WORDS];

function planOf(words: string): RetryPlan {
  const again = internHeader('x-again');
  return {
    ...EMPTY_RETRY_PLAN,
    conditions: readRetryWords(words, 'policy').conditions,
    statuses: [418, 200],
    responseHeaders: [(head) => head.has(again)],
  };
}

function aHead(status: number, headers: Readonly<Record<string, string>>): Head {
  const head = new Head();
  head.status = status;
  for (const [name, value] of Object.entries(headers)) head.add(internHeader(name), value);
  return head;
}

describe('an answer is tried again by exactly these words:', () => {
  test.each<[string, number, Readonly<Record<string, string>>, readonly string[]]>([
    ['500', 500, {}, ['5xx']],
    ['502', 502, {}, ['5xx', 'gateway-error']],
    ['503', 503, {}, ['5xx', 'gateway-error']],
    ['504', 504, {}, ['5xx', 'gateway-error']],
    ['505', 505, {}, ['5xx']],
    ['599', 599, {}, ['5xx']],
    ['600', 600, {}, []],
    ['409', 409, {}, ['retriable-4xx']],
    ['408', 408, {}, []],
    ['418, listed', 418, {}, ['retriable-status-codes']],
    ['200, listed', 200, {}, ['retriable-status-codes']],
    ['301', 301, {}, []],
    ['a change of protocol', 101, {}, []],
    ['a header', 201, { 'x-again': '' }, ['retriable-headers']],
    ['what is rate limited', 503, { 'x-envoy-ratelimited': 'true' }, ['envoy-ratelimited']],
    ['what is overloaded', 503, { 'x-envoy-overloaded': 'true' }, ['5xx', 'gateway-error']],
    ['grpc-status 0', 201, { 'grpc-status': '0' }, []],
    ['grpc-status 1', 201, { 'grpc-status': '1' }, ['cancelled']],
    ['grpc-status 4', 201, { 'grpc-status': '4' }, ['deadline-exceeded']],
    ['grpc-status 8', 201, { 'grpc-status': '8' }, ['resource-exhausted']],
    ['grpc-status 13', 201, { 'grpc-status': '13' }, ['internal']],
    ['grpc-status 14', 201, { 'grpc-status': '14' }, ['unavailable']],
    ['grpc-status 2', 201, { 'grpc-status': '2' }, []],
  ])('%s', (_name, status, headers, words) => {
    expect(WORDS.filter((word) => retriesResponse(planOf(word), aHead(status, headers)))).toEqual(words);
  });
});

const RESETS = ['5xx', 'gateway-error', 'reset'];

describe('a failure is tried again by exactly these words:', () => {
  test.each<[FailureKind, boolean, readonly string[]]>([
    ['connect-failed', false, [...RESETS, 'reset-before-request', 'connect-failure']],
    ['connect-failed', true, [...RESETS, 'connect-failure']],
    ['connect-timeout', false, [...RESETS, 'reset-before-request', 'connect-failure']],
    ['reset-before-response', false, [...RESETS, 'reset-before-request']],
    ['reset-before-response', true, RESETS],
    ['protocol', true, RESETS],
    ['per-try-timeout', true, RESETS],
    ['per-try-idle-timeout', true, RESETS],
    ['timeout', true, []],
    ['overflow', false, []],
    ['no-healthy-upstream', false, []],
    ['reset-mid-response', true, []],
    ['downstream-closed', true, []],
    ['duration', true, []],
  ])('%s, with something sent: %s', (kind, isSent, words) => {
    const failed = failure(kind, 'upstream', 'no');
    expect(WORDS.filter((word) => retriesFailure(planOf(word), failed, isSent))).toEqual(words);
  });
});

describe('words', () => {
  test('each is a condition of its own', () => {
    const bits = WORDS.map((word) => readRetryWords(word, 'policy').conditions);
    expect(new Set(bits).size).toBe(WORDS.length);
    expect(bits.every((bit) => bit !== 0 && (bit & (bit - 1)) === 0)).toBe(true);
  });

  test.each<['policy' | 'http' | 'grpc', readonly string[]]>([
    ['policy', []],
    ['http', GRPC_WORDS],
    ['grpc', HTTP_WORDS],
  ])('a %s list does not know those of the other', (kind, unknown) => {
    expect(readRetryWords(` ${WORDS.join(' ,, ')} `, kind).unknown).toEqual(unknown);
  });
});
