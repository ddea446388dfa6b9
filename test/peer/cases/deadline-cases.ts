// How long a request may take, and what the next hop is told of it.
import type { CaseTable, PeerCase } from '../peer-case.ts';

const at = (name: string, target: string, is: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  ...rest,
});
const HANG = { kind: 'hang' } as const;
const TRUSTED = 'x-forwarded-for: 10.1.2.3';
const STRANGER = 'x-forwarded-for: 8.8.8.8';
const asks = (text: string): string => `x-envoy-upstream-rq-timeout-ms: ${text}`;
const left = (text: string): string => `x-envoy-expected-rq-timeout-ms: ${text}`;
const grpc = (name: string, target: string, is: string, headers: readonly string[]): PeerCase =>
  at(name, target, is, { send: `POST ${target}`, headers: ['content-type: application/grpc', ...headers] });
const hung = (peerCase: PeerCase): PeerCase => ({ ...peerCase, answer: HANG, seen: 1 });

export const DEADLINE_CASES: CaseTable = {
  deadlines: [
    at('the route says it', '/five', '200 a'),
    at('the default', '/', '200 a'),
    at('no timeout', '/off', '200 a'),
    at('a stranger asks for another', '/five', '200 a', { headers: [STRANGER, asks('9000'), left('9000')] }),
    at('nobody knows who asks for another', '/five', '200 a', { headers: [asks('9000'), left('9000')] }),
    at('a trusted client asks for more', '/five', '200 a', { headers: [TRUSTED, asks('9000')] }),
    at('a trusted client asks for none', '/five', '200 a', { headers: [TRUSTED, asks('0')] }),
    at('a trusted client asks for nonsense', '/five', '200 a', { headers: [TRUSTED, asks('soon')] }),
    at('a trusted client asks for less, and gets it', '/five', '504', {
      headers: [TRUSTED, asks('100')],
      answer: HANG,
      seen: 1,
    }),
    at('a trusted client asks where there is none', '/off', '200 a', { headers: [TRUSTED, asks('3000')] }),
    at('what a trusted client has left is not asked for', '/five', '200 a', { headers: [TRUSTED, left('2000')] }),
    at('what a trusted client has left is passed on where there is no timeout', '/off', '200 a', {
      headers: [TRUSTED, left('2000')],
    }),
    at('what is left is heeded', '/five', '200 a', { to: 'heeds', headers: [TRUSTED, left('2000')] }),
    at('what is left is heeded where there is no timeout', '/off', '200 a', {
      to: 'heeds',
      headers: [TRUSTED, left('2000')],
    }),
    at('what is left strikes', '/five', '504', {
      to: 'heeds',
      headers: [TRUSTED, left('100')],
      answer: HANG,
      seen: 1,
    }),
    at('what a stranger has left is not heeded', '/five', '200 a', { to: 'heeds', headers: [STRANGER, left('2000')] }),
    at('more is left than the route gives', '/five', '200 a', { to: 'heeds', headers: [TRUSTED, left('9000')] }),
    at('nonsense is left', '/five', '200 a', { to: 'heeds', headers: [TRUSTED, left('x')] }),
    at('what is asked for counts where nothing is left', '/five', '200 a', {
      to: 'heeds',
      headers: [TRUSTED, asks('3000')],
    }),
    at('nobody is told', '/five', '200 a', { to: 'silent' }),
    at('nobody is told, a trusted client asks', '/five', '200 a', { to: 'silent', headers: [TRUSTED, asks('2000')] }),
    at('what the client has left passes where nobody is told', '/five', '200 a', {
      to: 'silent',
      headers: [TRUSTED, left('2000')],
    }),
    grpc('grpc-timeout within the bound', '/grpc', '200 a', ['grpc-timeout: 2S']),
    grpc('grpc-timeout beyond the bound', '/grpc', '200 a', ['grpc-timeout: 1H']),
    grpc('no grpc-timeout, a bound', '/grpc', '200 a', []),
    grpc('nonsense, a bound', '/grpc', '200 a', ['grpc-timeout: 5x']),
    at('grpc-timeout of what is no gRPC', '/grpc', '200 a', { headers: ['grpc-timeout: 2S'] }),
    grpc('grpc-timeout without a bound', '/grpc/free', '200 a', ['grpc-timeout: 9S']),
    grpc('no grpc-timeout and no bound', '/grpc/free', '200 a', []),
    grpc('grpc-timeout less an offset', '/grpc/offset', '200 a', ['grpc-timeout: 9S']),
    grpc('grpc-timeout less than the offset', '/grpc/offset', '200 a', ['grpc-timeout: 1S']),
    grpc('grpc-timeout where it is not heeded', '/five', '200 a', ['grpc-timeout: 2S']),
    grpc('grpc-timeout in hours', '/grpc/free', '200 a', ['grpc-timeout: 99999H']),
    hung(grpc('grpc-timeout strikes', '/grpc', '200', ['grpc-timeout: 100m'])),
    hung(grpc('the timeout of the route strikes gRPC', '/short', '200', [])),
    grpc('a trusted client asks for another than grpc-timeout', '/grpc', '200 a', [
      'grpc-timeout: 2S',
      TRUSTED,
      asks('4000'),
    ]),
    grpc('max_stream_duration with grpc-timeout', '/duration', '200 a', ['grpc-timeout: 2S']),
    grpc('max_stream_duration without grpc-timeout', '/duration', '200 a', []),
    grpc('max_stream_duration with a grpc-timeout beyond it', '/duration', '200 a', ['grpc-timeout: 1H']),
    at('max_stream_duration, a trusted client asks', '/duration', '200 a', { headers: [TRUSTED, asks('4000')] }),
  ],
};
