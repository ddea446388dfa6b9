// After header edits the body's own framing still decides how a message is framed.
import { describe, expect, it } from 'vitest';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE } from '../../../src/http/body-decoder.ts';
import { kindOfRequest, kindOfResponse } from '../../../src/http/edited-framing.ts';
import { Head } from '../../../src/http/head.ts';
import { H } from '../../../src/http/header-name.ts';

function head(status: number, length: string | null): Head {
  const made = new Head();
  made.status = status;
  if (length !== null) made.add(H.contentLength, length);
  return made;
}

describe('a request', () => {
  it.each([
    ['keeps its length', BY_LENGTH, '3', BY_LENGTH],
    ['goes in chunks once its length is gone', BY_LENGTH, null, CHUNKED],
    ['without a body has none', NO_BODY, null, NO_BODY],
    ['in chunks stays so', CHUNKED, null, CHUNKED],
  ] as const)('%s', (_name, given, length, wanted) => {
    expect(kindOfRequest(head(0, length), given)).toBe(wanted);
  });
});

describe('a response', () => {
  it.each([
    ['keeps its length', 200, BY_LENGTH, '3', false, BY_LENGTH, '3'],
    ['goes in chunks once its length is gone', 200, BY_LENGTH, null, false, CHUNKED, null],
    ['until close becomes chunks', 200, UNTIL_CLOSE, null, false, CHUNKED, null],
    ['without a body says so', 200, NO_BODY, null, false, NO_BODY, '0'],
    ['to a HEAD need not', 200, NO_BODY, null, true, NO_BODY, null],
    ['204 must not', 204, NO_BODY, null, false, NO_BODY, null],
    ['304 need not', 304, NO_BODY, null, false, NO_BODY, null],
  ] as const)('%s', (...row) => {
    const [, status, given, length, isToHead, wanted, lengthAfter] = row;
    const made = head(status, length);
    expect([kindOfResponse(made, given, isToHead), made.get(H.contentLength)]).toEqual([wanted, lengthAfter]);
  });
});
