// Who gets through to whom: what servers take (PeerAuthentication) against how clients call (DestinationRule). Each kind
// of server is a service of the namespace `default`, each kind of client lives in the namespace `ns-NAME`.
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { pem } from './tls-proxy.ts';

/** The last is STRICT but for its port. */
export const SERVERS = ['disable', 'permissive', 'strict', 'port'] as const;
export type ServerName = (typeof SERVERS)[number];

/** Members of the mesh by what they are told, and whether they reach each of SERVERS. */
export const MEMBERS: readonly (readonly [client: string, told: string, reaches: readonly boolean[]])[] = [
  ['none', 'nothing', [true, true, true, true]],
  ['disabling', 'DISABLE', [true, true, false, true]],
  ['mutual', 'ISTIO_MUTUAL', [false, true, true, false]],
  ['simple', 'SIMPLE', [false, false, false, false]],
  ['foreign', 'MUTUAL, with a certificate from elsewhere', [false, false, false, false]],
];

export function serverPolicies(port: number): string {
  return SERVERS.map((name) => {
    const mode = name === 'port' ? 'STRICT' : name.toUpperCase();
    const ports = name === 'port' ? `, portLevelMtls: { ${port}: { mode: DISABLE } }` : '';
    const spec = `{ selector: { matchLabels: { app: ${name} } }, mtls: { mode: ${mode} }${ports} }`;
    return `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: ${name} }\nspec: ${spec}\n---\n`;
  }).join('');
}

function rule(client: string, server: string, tls: string): string {
  const spec = `{ host: ${server}.default.svc.cluster.local, trafficPolicy: { tls: ${tls} } }`;
  const meta = `metadata: { name: ${server}, namespace: ns-${client} }`;
  return `apiVersion: networking.istio.io/v1\nkind: DestinationRule\n${meta}\nspec: ${spec}\n---\n`;
}

/** Rules of the clients; writes the certificate from elsewhere into `folder`. */
export function clientRules(folder: string): string {
  const [certificate, key] = [join(folder, 'c.pem'), join(folder, 'c.key')];
  writeFileSync(certificate, pem('client.pem'));
  writeFileSync(key, pem('client.key'));
  const modes: Readonly<Record<string, string>> = {
    disabling: '{ mode: DISABLE }',
    mutual: '{ mode: ISTIO_MUTUAL }',
    simple: '{ mode: SIMPLE, insecureSkipVerify: true }',
    foreign: `{ mode: MUTUAL, clientCertificate: ${certificate}, privateKey: ${key}, insecureSkipVerify: true }`,
  };
  return Object.entries(modes)
    .flatMap(([client, tls]) => SERVERS.map((server) => rule(client, server, tls)))
    .join('');
}

export interface Answer {
  /** 0: the connection ended. */
  readonly status: number;
  readonly body: string;
}

/** One request on a connection of its own, with the field `x-probe`. */
export function ask(port: number, host: string, probe: string): Promise<Answer> {
  return new Promise((resolve) => {
    const headers = { host, 'x-probe': probe, connection: 'close' };
    const asking = request({ port, host: '127.0.0.1', path: '/secret', headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('close', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asking.on('error', () => resolve({ status: 0, body: '' }));
    asking.end();
  });
}
