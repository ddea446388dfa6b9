// The files of a certificate authority by name, and where they are kept. The names are those of Istio's Secret
// `cacerts`, so that what people have fits; a directory is one place for them (`directory-store.ts`), a Secret will
// be another. A store gives all files of one moment, never some of before and some of after a change.

/** File names to their text. A name that is not there has no file. */
export type AuthorityFiles = ReadonlyMap<string, string>;

/** The certificate that signs, its key, every root that is trusted, and what leads from the signer to its root. */
export const SIGNER_CERTIFICATE = 'ca-cert.pem';
export const SIGNER_KEY = 'ca-key.pem';
export const ROOTS = 'root-cert.pem';
export const CHAIN = 'cert-chain.pem';

/** The other root while roots are rotated: the new one until it signs, the old one from then on. */
export const OTHER_CERTIFICATE = 'other-cert.pem';
export const OTHER_KEY = 'other-key.pem';
export const ROTATION = 'rotation.json';

/** The key that signs join tokens; it is no key of a certificate. */
export const JOIN_KEY = 'join-key.pem';
/** The longest lifetime of certificates, in milliseconds, that any control service of this authority ever gave. */
export const LIFETIME = 'lifetime-max';

/** What rotation replaces as one. */
export const AUTHORITY_NAMES: readonly string[] = [
  SIGNER_CERTIFICATE,
  SIGNER_KEY,
  ROOTS,
  CHAIN,
  OTHER_CERTIFICATE,
  OTHER_KEY,
  ROTATION,
];

export interface AuthorityStore {
  /** For people: the directory or the Secret. */
  readonly place: string;
  /** Rejects when the place cannot be read. */
  read(): Promise<AuthorityFiles>;
  /**
   * One change at a time, whole or not at all: `edit` gets the files of now and returns those of AUTHORITY_NAMES
   * that shall be there afterwards, or null to leave all as it is. Rejects when the place cannot be written.
   */
  update(edit: (files: AuthorityFiles) => Promise<AuthorityFiles | null>): Promise<void>;
  /** Adds a file outside of AUTHORITY_NAMES, unless it is there; returns its text, whoever wrote it. */
  add(name: string, text: string): Promise<string>;
  /** Writes a file outside of AUTHORITY_NAMES. */
  put(name: string, text: string): Promise<void>;
  /** Calls when the files may have changed, at the latest ten seconds later; the result ends that. */
  watch(onChange: () => void): () => void;
}
