// base64url as tokens and keys are written in it: one spelling for each sequence of bytes, so without padding, blanks
// and left-over bits. Anything else is refused. Source: RFC 4648 section 5, RFC 7515 section 2.

/** Values of the letters of base64url; 255 for any other byte. */
const VALUES: Uint8Array = new Uint8Array(256).fill(255);
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
for (let value = 0; value < LETTERS.length; value++) VALUES[LETTERS.charCodeAt(value)] = value;

/** The bytes behind base64url in its one spelling; null for anything else. */
export function decodeBase64Url(text: string): Buffer | null {
  const rest = text.length % 4;
  if (rest === 1) return null;
  let last = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    last = code > 255 ? 255 : (VALUES[code] ?? 255);
    if (last === 255) return null;
  }
  if ((rest === 2 && (last & 15) !== 0) || (rest === 3 && (last & 3) !== 0)) return null;
  return Buffer.from(text, 'base64url');
}
