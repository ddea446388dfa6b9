// Takes out of a text what must not leave a machine: private keys, tokens, passwords, and all values of Secrets. It works on
// text, because what is collected may be of any form; it rather takes too much than too little.

const GONE = '[redacted]';
/** The form of what is secret wherever it stands. */
const SHAPES: readonly RegExp[] = [
  // PEM, also with line breaks as JSON writes them, and cut off.
  /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g,
  // The same in base64: the text "-----BEGIN" at its three alignments.
  /(?:LS0tLS1CRUdJTi|0tLS0tQkVHSU4g|tLS0tLUJFR0lO)[A-Za-z0-9+/=_-]{40,}/g,
  // JSON web tokens.
  /\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g,
];
/** `Authorization: Bearer …`, also within JSON. */
const SCHEME = /\b(?<scheme>bearer|basic)(?<gap>\s+)[A-Za-z0-9+/=._~-]{4,}/gi;
/** What stands behind a name that says that it is secret. */
const NAMED =
  /(?<name>["']?[\w.-]*(?:password|passwd|secret[_-]?key|client[_-]?secret|api[_-]?key|private[_-]?key|access[_-]?token|refresh[_-]?token|cookie|authorization)["']?\s*[:=]\s*)(?<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,{}[\]"']+)/gi;
const SECRET_KIND = /^["']?kind["']?\s*:\s*["']?Secret\b|"kind"\s*:\s*"Secret"/m;

export function redacted(text: string): string {
  let kept = text;
  for (const shape of SHAPES) kept = kept.replace(shape, GONE);
  return kept.replace(SCHEME, `$<scheme>$<gap>${GONE}`).replace(NAMED, `$<name>"${GONE}"`);
}

/** Documents of rules; one that is a Secret is left out as a whole. */
export function redactedRules(text: string): string {
  const documents = text.split(/^---.*$/m);
  const kept = documents.map((document) =>
    SECRET_KIND.test(document) ? `\n# a Secret: ${GONE}\n` : redacted(document),
  );
  return kept.join('---');
}
