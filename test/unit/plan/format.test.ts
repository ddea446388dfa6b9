// Substitution formats: what each command reads, and what is refused.
import { hostname } from 'node:os';
import { describe, expect, test } from 'vitest';
import { clusterId, routeId } from '../../../src/base/brand.ts';
import type { Problem } from '../../../src/base/problem.ts';
import { internHeader } from '../../../src/http/header-name.ts';
import { ClusterRef, Endpoint } from '../../../src/plan/cluster.ts';
import { Exchange, NO_CONNECTION } from '../../../src/plan/exchange.ts';
import { compileFormat, type Format } from '../../../src/plan/format.ts';
import { merge, NO_MIRRORS } from '../../../src/plan/plan.ts';
import type { CertificateFacts, TlsFacts } from '../../../src/plan/tls-facts.ts';
import { FLAGS } from '../../../src/plan/response-flags.ts';

const CERTIFICATE: CertificateFacts = {
  subject: 'CN=a,O=b',
  issuer: 'CN=ca',
  serial: '1f',
  names: { dns: ['a.test', 'b.test'], uri: ['spiffe://a/b'], email: [], ip: ['10.0.0.1'] },
  notBeforeMs: 0,
  notAfterMs: Date.UTC(2030, 0, 2),
  fingerprint256: 'aa',
  fingerprint1: 'bb',
  pem: 'a\nb',
};

const SECURE: TlsFacts = {
  serverName: 'sni.com',
  protocol: '',
  version: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  isVerified: true,
  principal: 'spiffe://a/b',
  certificate: CERTIFICATE,
  chainPem: '',
  ownCertificate: { ...CERTIFICATE, subject: 'CN=\nown' },
};

function aFinishedExchange(): Exchange {
  const x = new Exchange();
  x.request.method = 'GET';
  x.request.path = '/new?a=1&b=x%20y';
  x.request.setAuthority('shop.com:80');
  x.request.add(internHeader('x-envoy-original-path'), '/old?a=1');
  x.request.add(internHeader('x-user'), 'abcdef');
  x.request.add(internHeader('x-request-id'), 'id-1');
  x.metadata.set('jwt', { payload: { sub: 'ann', exp: 17, aud: ['a'] } });
  x.response.status = 503;
  x.response.add(internHeader('x-envoy-upstream-service-time'), '12');
  x.connection = {
    ...NO_CONNECTION,
    id: 9,
    remoteAddress: '10.1.10.23',
    remotePort: 4000,
    localAddress: '::1',
    localPort: 80,
    serverName: 'sni.com',
    tls: SECURE,
  };
  x.plan = merge({ route: routeId('my route'), origin: '', body: null, mirrors: NO_MIRRORS }, []);
  x.upstreamTls = SECURE;
  x.cluster = new ClusterRef(clusterId('outbound|80||shop'));
  x.endpoint = new Endpoint({
    address: '10.0.0.7',
    port: 8080,
    hostname: 'pod.local',
    locality: { region: '', zone: '', subZone: '' },
    priority: 0,
    metadata: new Map([['istio.workload', 'w;ns']]),
    weight: 1,
  });
  x.upstreamLocalAddress = '10.0.0.1:5555';
  x.flags = FLAGS.UF | FLAGS.URX;
  x.details = 'via upstream';
  x.isUpstreamResponse = true;
  x.attempts = 2;
  x.startMs = 100;
  x.requestEndMs = 101.9;
  x.upstreamStartMs = 101;
  x.responseStartMs = 110.5;
  x.endMs = 125.25;
  x.startWallMs = Date.UTC(2026, 10, 2, 13, 4, 5, 67);
  x.requestBytes = 11;
  x.responseBytes = 22;
  x.requestHeadBytes = 33;
  x.responseHeadBytes = 44;
  return x;
}

function compile(
  text: string,
  missing?: string,
): { readonly format: Format | null; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  return { format: compileFormat(text, problems, 'format', missing), problems };
}

describe('a finished exchange is written as', () => {
  test.each<[string, string]>([
    ['plain', 'plain'],
    ['100%%', '100%'],
    ['a%PROTOCOL%b', 'aHTTP/1.1b'],
    ['%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', 'GET /old?a=1'],
    ['%REQ(x-none?:path)%', '/new?a=1&b=x%20y'],
    ['%REQ(x-none)%', '-'],
    ['%REQ(X-User):3%', 'abc'],
    ['%REQUEST_HEADER(x-user):100%', 'abcdef'],
    ['%REQ(:AUTHORITY)%', 'shop.com:80'],
    ['%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%', '12'],
    ['%TRAILER(x)%', '-'],
    ['%RESPONSE_CODE%', '503'],
    ['%RESPONSE_CODE_DETAILS%', 'via_upstream'],
    ['%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%', 'via upstream'],
    ['%RESPONSE_FLAGS%', 'URX,UF'],
    ['%RESPONSE_FLAGS_LONG%', 'UpstreamConnectionFailure,UpstreamRetryLimitExceeded'],
    ['%BYTES_RECEIVED% %BYTES_SENT%', '11 22'],
    ['%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES%', '33 44'],
    ['%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%', '25 1 10 14'],
    ['%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%', '25250'],
    ['%COMMON_DURATION(US_CX_BEG:DS_TX_END:ms)%', '-'],
    ['%UPSTREAM_HOST% %UPSTREAM_HOST_NAME%', '10.0.0.7:8080 pod.local'],
    ['%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%', 'outbound|80||shop outbound|80||shop'],
    [
      '%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%',
      '10.0.0.1:5555 10.0.0.1 5555',
    ],
    ['%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT%', '10.0.0.7:8080 8080'],
    ['%UPSTREAM_REQUEST_ATTEMPT_COUNT%', '2'],
    ['%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%', '10.1.10.23:4000 10.1.10.23'],
    ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%', '10.1.0.0/16'],
    ['%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(64)%', '[::1]:80 ::/64'],
    ['%REQUESTED_SERVER_NAME%', 'sni.com'],
    ['%REQUESTED_SERVER_NAME(HOST_FIRST:HOST)%', 'shop.com:80'],
    ['%ROUTE_NAME%', 'my route'],
    ['%CONNECTION_ID%', '9'],
    ['%HOSTNAME%', hostname()],
    ['%STREAM_ID%', 'id-1'],
    ['%PATH% %PATH(NQ)% %PATH(NQ:PATH)%', '/old?a=1 /old /new'],
    ['%QUERY_PARAM(b)% %QUERY_PARAMS%', 'x y a=1&b=x%20y'],
    ['%DOWNSTREAM_PEER_URI_SAN%', 'spiffe://a/b'],
    ['%UPSTREAM_PEER_URI_SAN%', 'spiffe://a/b'],
    ['%UPSTREAM_PEER_SUBJECT%', 'CN=a,O=b'],
    ['%UPSTREAM_TLS_VERSION%', 'TLSv1.3'],
    ['%DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_IP_SAN%', 'a.test,b.test 10.0.0.1'],
    ['%DOWNSTREAM_PEER_EMAIL_SAN%', '-'],
    ['%DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_ISSUER% %DOWNSTREAM_PEER_SERIAL%', 'CN=a,O=b CN=ca 1f'],
    ['%DOWNSTREAM_PEER_FINGERPRINT_256% %DOWNSTREAM_PEER_FINGERPRINT_1%', 'aa bb'],
    ['%DOWNSTREAM_PEER_CERT_V_END(%Y-%m-%d)%', '2030-01-02'],
    ['%DOWNSTREAM_LOCAL_SUBJECT%', 'CN=own'],
    ['%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER%', 'TLSv1.3 TLS_AES_128_GCM_SHA256'],
    ['%UPSTREAM_METADATA(istio:workload)% %METADATA(UPSTREAM_HOST:istio:workload)%', 'w;ns w;ns'],
    ['%UPSTREAM_METADATA(["istio", "workload"])%', 'w;ns'],
    ['%DYNAMIC_METADATA(jwt:payload:sub)% %METADATA(DYNAMIC:jwt:payload:sub)%', 'ann ann'],
    ['%DYNAMIC_METADATA(jwt:payload:exp)% %DYNAMIC_METADATA(jwt:payload:sub):2%', '17 an'],
    ['%DYNAMIC_METADATA(jwt:payload:aud)% %DYNAMIC_METADATA(jwt:payload:aud:0)%', '["a"] -'],
    ['%DYNAMIC_METADATA(jwt)%', '{"payload":{"sub":"ann","exp":17,"aud":["a"]}}'],
    ['%METADATA(ROUTE:a:b)%%DYNAMIC_METADATA(a)%%FILTER_STATE(a)%%VIRTUAL_CLUSTER_NAME%', '----'],
    ['%START_TIME%', '2026-11-02T13:04:05.067Z'],
    ['%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%', '2026/11/02T13:04:05+0000 1793624645'],
    ['%START_TIME(%s.%3f|%1f|%6f|%9f|%f)%', '1793624645.067|0|067000|067000000|067000000'],
    [
      '%START_TIME(%E3S %Ez %a %A %b %B %e %j %y %I %p %F %T %D %R)%',
      '05.067 +00:00 Mon Monday Nov November  2 306 26 01 PM 2026-11-02 13:04:05 11/02/26 13:04',
    ],
    ['%START_TIME(%u %w %V %G %U %W)%', '1 1 45 2026 44 44'],
  ])('%s', (text, wanted) => {
    const { format, problems } = compile(text);
    expect(problems).toEqual([]);
    expect(format?.run(aFinishedExchange())).toBe(wanted);
  });
});

test('an exchange without anything has nothing to say', () => {
  const { format } = compile(
    '%REQ(:PATH)%%PROTOCOL%%RESPONSE_FLAGS%%DURATION%%UPSTREAM_HOST%%UPSTREAM_CLUSTER%%ROUTE_NAME%%RESPONSE_CODE%',
  );
  expect(format?.run(new Exchange())).toBe('-------0');
});

test('what is missing is empty in a header value', () => {
  expect(compile('[%REQ(x-none)%]', '').format?.run(new Exchange())).toBe('[]');
});

test('a format without commands is constant wire text', () => {
  expect(compile('é%%').format?.constant).toBe('Ã©%');
  expect(compile('%HOSTNAME%').format?.constant).toBeNull();
});

test.each<[string, string | number | null]>([
  ['%DURATION%', 25],
  ['%RESPONSE_CODE%', 503],
  ['%REQ(x-none)%', null],
  ['%ROUTE_NAME%', 'my route'],
  ['%DURATION%ms', '25ms'],
])('%s is typed for JSON', (text, wanted) => {
  expect(compile(text).format?.value(aFinishedExchange())).toBe(wanted);
});

test('start times follow the second and its fraction', () => {
  const { format } = compile('%START_TIME(%S.%3f)%');
  const x = new Exchange();
  const written = [999, 1000, 1001, 61_999, 500].map((wallMs) => {
    x.startWallMs = wallMs;
    return format?.run(x);
  });
  expect(written).toEqual(['00.999', '01.000', '01.001', '01.999', '00.500']);
});

test.each<[string, string]>([
  ['%NOT_A_COMMAND%', '%NOT_A_COMMAND% is not a known command'],
  ['100%', 'no valid command at position 3'],
  ['%REQ()%', '%REQ% needs a header name, or two with ? between them'],
  ['%REQ(a?b?c)%', '%REQ% needs a header name, or two with ? between them'],
  ['%PROTOCOL(x)%', '%PROTOCOL% takes no argument'],
  ['%START_TIME(%Q)%', "'%Q' is not a conversion of strftime"],
  ['%COMMON_DURATION(a:b)%', '%COMMON_DURATION% needs START:END:PRECISION, with ms, us or ns for the precision'],
  ['%PATH(XX)%', "%PATH% takes WQ or NQ first, not 'XX'"],
])('%s is refused', (text, message) => {
  const { format, problems } = compile(text);
  expect(format).toBeNull();
  expect(problems.map((problem) => [problem.severity, problem.path, problem.message])).toEqual([
    ['error', 'format', message],
  ]);
});
