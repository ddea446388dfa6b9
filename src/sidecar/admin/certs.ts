// `/certs`: the certificates of every TLS context in force, in Envoy's shape. Keys are never part of it.
import type { JsonValue } from '@bufbuild/protobuf';
import type { Certificate } from '../../tls/certificate.ts';
import { json, type AdminEndpoint } from './endpoint.ts';

/** What one context shows and whom it trusts. */
export interface ContextCertificates {
  /** The certificates trusted in, and where they came from. */
  readonly authorities: readonly Certificate[];
  readonly authoritiesPath: string;
  /** Leaf and intermediates of each chain. */
  readonly chains: readonly { readonly path: string; readonly certificates: readonly Certificate[] }[];
}

const DAY_MS = 86_400_000;

export const certs: AdminEndpoint = {
  path: '/certs',
  isPostOnly: false,
  help: 'print certs on machine',
  parameters: [],
  answer: ({ source }) =>
    json({
      certificates: source.certificates().map(({ authorities, authoritiesPath, chains }) => ({
        ca_cert: authorities.map((certificate) => details(certificate, authoritiesPath)),
        cert_chain: chains.flatMap(({ path, certificates }) =>
          certificates.map((certificate) => details(certificate, path)),
        ),
      })),
    }),
};

function details(certificate: Certificate, path: string): JsonValue {
  const { names, serial, notBeforeMs, notAfterMs } = certificate;
  const days = Math.max(0, Math.floor((notAfterMs - Date.now()) / DAY_MS));
  return {
    path,
    serial_number: serial,
    subject_alt_names: [
      ...names.dns.map((dns) => ({ dns })),
      ...names.uri.map((uri) => ({ uri })),
      ...names.ip.map((address) => ({ ip_address: address })),
    ],
    days_until_expiration: String(days),
    valid_from: time(notBeforeMs),
    expiration_time: time(notAfterMs),
  };
}

function time(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('.000Z', 'Z');
}
