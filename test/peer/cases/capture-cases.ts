// Where an ORIGINAL_DST cluster sends what a header names. Whose connections were redirected is in test/netns.
import type { CaseTable, PeerCase } from '../peer-case.ts';

const to = (name: string, target: string, is: string, ...headers: readonly string[]): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  headers,
});

const HEADER = 'x-envoy-original-dst-host';

export const CAPTURE_CASES: CaseTable = {
  'original-dst': [
    to('the header names the destination', '/header', '200 a', `${HEADER}: 127.0.0.1:$upstream.a`),
    to('another destination on the same connection', '/header', '200 b', `${HEADER}: 127.0.0.1:$upstream.b`),
    to(
      'the first of two headers counts',
      '/header',
      '200 a',
      `${HEADER}: 127.0.0.1:$upstream.a`,
      `${HEADER}: 127.0.0.1:$upstream.b`,
    ),
    to('nobody listens at the destination', '/header', '503', `${HEADER}: 127.0.0.1:$closed`),
    to('no header, no redirect', '/header', '503'),
    to('an address without a port', '/header', '503', `${HEADER}: 127.0.0.1`),
    to('a name is no address', '/header', '503', `${HEADER}: localhost:$upstream.a`),
    to('a port that is none', '/header', '503', `${HEADER}: 127.0.0.1:99999`),
    to('an empty port', '/header', '503', `${HEADER}: 127.0.0.1:`),
    to('brackets around IPv4', '/header', '503', `${HEADER}: [127.0.0.1]:$upstream.a`),
    to('IPv6 without brackets', '/header', '503', `${HEADER}: ::1:$upstream.a`),
    to('another name of the header', '/named', '200 a', 'x-to: 127.0.0.1:$upstream.a'),
    to('the default header means nothing then', '/named', '503', `${HEADER}: 127.0.0.1:$upstream.a`),
    to('the fixed port wins', '/port', '200 b', `${HEADER}: 127.0.0.1:$upstream.a`),
    to(
      'a header that is not asked for',
      '/plain',
      '503',
      'x-to: 127.0.0.1:$upstream.a',
      `${HEADER}: 127.0.0.1:$upstream.a`,
    ),
  ],
};
