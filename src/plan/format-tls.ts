// The commands of Envoy's substitution formats that tell of TLS: version and cipher, SNI's neighbours, and the
// names, owners, fingerprints and times of the certificates at both ends of the connections to the client and to the
// endpoint.
import { error } from '../base/problem.ts';
import type { Exchange } from './exchange.ts';
import type { Command } from './format-operators.ts';
import { compileTime, ISO_TIME } from './format-time.ts';
import type { CertificateFacts, TlsFacts } from './tls-facts.ts';
import { wireText } from './wire-text.ts';

const CONTROLS = /\p{Cc}/gu;

type Read = (x: Exchange) => string | null;
type ReadCertificate = (certificate: CertificateFacts) => string;

const CERTIFICATE_FIELDS: ReadonlyMap<string, ReadCertificate> = new Map<string, ReadCertificate>([
  ['URI_SAN', ({ names }) => names.uri.join(',')],
  ['DNS_SAN', ({ names }) => names.dns.join(',')],
  ['IP_SAN', ({ names }) => names.ip.join(',')],
  ['EMAIL_SAN', ({ names }) => names.email.join(',')],
  ['SUBJECT', ({ subject }) => subject],
  ['ISSUER', ({ issuer }) => issuer],
  ['SERIAL', ({ serial }) => serial],
  ['FINGERPRINT_256', ({ fingerprint256 }) => fingerprint256],
  ['FINGERPRINT_1', ({ fingerprint1 }) => fingerprint1],
  ['CERT', ({ pem }) => encodeURIComponent(pem)],
]);

const SESSION: ReadonlyMap<string, (tls: TlsFacts) => string> = new Map([
  ['TLS_VERSION', ({ version }: TlsFacts) => version],
  ['TLS_CIPHER', ({ cipher }: TlsFacts) => cipher],
]);

const TIMES: ReadonlyMap<string, (certificate: CertificateFacts) => number> = new Map([
  ['PEER_CERT_V_START', ({ notBeforeMs }: CertificateFacts) => notBeforeMs],
  ['PEER_CERT_V_END', ({ notAfterMs }: CertificateFacts) => notAfterMs],
]);

const PEER = 'PEER_';
const LOCAL = 'LOCAL_';

type Find = (x: Exchange) => TlsFacts | null;
/** One of the two connections of an exchange, and its commands. */
interface Side {
  readonly prefix: string;
  readonly find: Find;
}

const SIDES: readonly Side[] = [
  { prefix: 'DOWNSTREAM_', find: ({ connection }) => connection.tls },
  { prefix: 'UPSTREAM_', find: ({ upstreamTls }) => upstreamTls },
];

/** How to read the command's value; null when it is none of these, or refused with a Problem. */
export function compileTlsCommand(command: Command): Read | null {
  const side = SIDES.find(({ prefix }) => command.name.startsWith(prefix));
  if (side === undefined) return null;
  const name = command.name.slice(side.prefix.length);
  const time = TIMES.get(name);
  if (time !== undefined) return compileCertificateTime(time, side.find, command);
  const read = readerOf(name, side.find);
  if (read === null || command.argument === null) return read;
  command.problems.push(error(command.path, `%${command.name}% takes no argument`));
  return null;
}

function readerOf(name: string, find: Find): Read | null {
  const session = SESSION.get(name);
  if (session !== undefined)
    return (x) => {
      const tls = find(x);
      return tls === null ? null : orNull(session(tls));
    };
  const peer = name.startsWith(PEER) ? CERTIFICATE_FIELDS.get(name.slice(PEER.length)) : undefined;
  if (peer !== undefined) return (x) => textOf(find(x)?.certificate, peer);
  const own = name.startsWith(LOCAL) ? CERTIFICATE_FIELDS.get(name.slice(LOCAL.length)) : undefined;
  if (own !== undefined) return (x) => textOf(find(x)?.ownCertificate, own);
  return null;
}

function textOf(certificate: CertificateFacts | null | undefined, read: ReadCertificate): string | null {
  return certificate === null || certificate === undefined ? null : orNull(read(certificate));
}

/** A certificate may hold any byte in its names; a log line and a header may not. */
function orNull(text: string): string | null {
  return text === '' ? null : wireText(text.replaceAll(CONTROLS, ''));
}

function compileCertificateTime(
  read: (certificate: CertificateFacts) => number,
  find: Find,
  { argument, problems, path }: Command,
): Read | null {
  const format = compileTime(argument === null || argument === '' ? ISO_TIME : argument, 'utc', problems, path);
  if (format === null) return null;
  return (x) => {
    const certificate = find(x)?.certificate ?? null;
    return certificate === null ? null : format(read(certificate));
  };
}
