// Users' Secrets as xDS has them, for the workloads of their own namespace and for nobody else (CVE-2021-34824): a name
// without a namespace means the one that the asker has proved to be of, and a name of another namespace does not exist.
//
//   kubernetes://NAME, kubernetes://NAMESPACE/NAME                 the certificate with its key
//   kubernetes://NAME-cacert, kubernetes://NAMESPACE/NAME-cacert   the authorities, of a Secret of that name or of NAME
import { create } from '@bufbuild/protobuf';
import type { Secret } from '../config/resource.ts';
import type { WorkloadId } from '../tls/spiffe-id.ts';
import {
  SecretSchema,
  type Secret as SecretMessage,
} from '../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { encodeResource, type EncodedResource } from '../xds/resource.ts';

type Named = ReadonlyMap<string, EncodedResource>;

/** The trust bundle of the mesh, by the name that Istio gives it. */
export const ROOTS_NAME = 'ROOTCA';
const SCHEME = 'kubernetes://';
/** What the name of a Secret with authorities ends in. */
export const AUTHORITIES = '-cacert';
const NONE: Named = new Map();

export class SecretIndex {
  readonly #byNamespace = new Map<string, Secret[]>();
  readonly #encoded = new Map<string, Named>();
  readonly #rootsPem: string;

  /** `rootsPem`: whom the mesh trusts; empty when there is no authority. */
  constructor(secrets: readonly Secret[], rootsPem: string) {
    this.#rootsPem = rootsPem;
    for (const secret of secrets) {
      const { namespace } = secret.meta;
      const known = this.#byNamespace.get(namespace);
      if (known === undefined) this.#byNamespace.set(namespace, [secret]);
      else known.push(secret);
    }
  }

  /** Whether a Secret of the namespace has what is asked for. */
  has(namespace: string, name: string, part: 'certificate' | 'authorities'): boolean {
    return (this.#byNamespace.get(namespace) ?? []).some(({ meta, spec }) =>
      part === 'certificate'
        ? meta.name === name && spec.certificate !== null
        : (meta.name === name || meta.name === `${name}${AUTHORITIES}`) && spec.authoritiesPem !== '',
    );
  }

  /** The namespaces that have some. */
  get namespaces(): Iterable<string> {
    return this.#byNamespace.keys();
  }

  /** By resource name; nothing for those who have proved nothing. */
  forIdentity(identity: WorkloadId | null): Named {
    if (identity === null) return NONE;
    const { namespace } = identity;
    const known = this.#encoded.get(namespace);
    if (known !== undefined) return known;
    const named = new Map<string, EncodedResource>();
    const add = (name: string, type: SecretMessage['type']): void => {
      if (named.has(name)) return;
      named.set(name, encodeResource(SecretSchema, name, create(SecretSchema, { name, type })));
    };
    if (this.#rootsPem !== '') add(ROOTS_NAME, authorities(this.#rootsPem));
    const secrets = this.#byNamespace.get(namespace) ?? [];
    for (const { meta, spec } of secrets) {
      if (spec.certificate === null) continue;
      for (const name of namesOf(namespace, meta.name)) add(name, pair(spec.certificate));
    }
    const withAuthorities = secrets.filter(({ spec }) => spec.authoritiesPem !== '');
    // A Secret that is called so itself comes before one that only has authorities besides.
    const own = withAuthorities.filter(({ meta }) => meta.name.endsWith(AUTHORITIES));
    for (const { meta, spec } of own)
      for (const name of namesOf(namespace, meta.name)) add(name, authorities(spec.authoritiesPem));
    for (const { meta, spec } of withAuthorities)
      for (const name of namesOf(namespace, meta.name)) add(`${name}${AUTHORITIES}`, authorities(spec.authoritiesPem));
    this.#encoded.set(namespace, named);
    return named;
  }
}

/** The namespace that a resource name asks for; null: it is none of Kubernetes', empty: the asker's own. */
export function namespaceAskedFor(name: string): string | null {
  if (!name.startsWith(SCHEME)) return null;
  const slash = name.indexOf('/', SCHEME.length);
  return slash < 0 ? '' : name.slice(SCHEME.length, slash);
}

function namesOf(namespace: string, name: string): readonly string[] {
  return [`${SCHEME}${name}`, `${SCHEME}${namespace}/${name}`];
}

function pair({ chainPem, key }: NonNullable<Secret['spec']['certificate']>): SecretMessage['type'] {
  const message = create(SecretSchema, {
    type: {
      case: 'tlsCertificate',
      value: { certificateChain: inline(chainPem), privateKey: inline(key.reveal()) },
    },
  });
  return message.type;
}

function authorities(pem: string): SecretMessage['type'] {
  const message = create(SecretSchema, { type: { case: 'validationContext', value: { trustedCa: inline(pem) } } });
  return message.type;
}

function inline(text: string) {
  return { specifier: { case: 'inlineBytes' as const, value: Buffer.from(text) } };
}
