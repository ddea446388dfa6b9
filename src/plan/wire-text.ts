// Text as it stands on the wire. A Head holds one character for each byte (Latin-1), configuration
// is Unicode; so whatever configuration compares with, or writes into, a Head is turned into its
// UTF-8 bytes once, at config time. Refuses nothing.

/** The UTF-8 bytes of `text`, one character a byte. */
export function wireText(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** The text behind wire bytes; bytes that are not UTF-8 become U+FFFD. */
export function unicodeText(wire: string): string {
  return isAscii(wire) ? wire : Buffer.from(wire, 'latin1').toString('utf8');
}

export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
