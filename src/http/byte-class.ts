// @hot
// One table lookup per byte: what a byte may be in an HTTP/1.1 head (RFC 9110 section 5.6.2, RFC 9112
// section 2). Heads are read as Latin-1, so a character code is a byte.

/** The lower-cased byte of a token character (tchar), or 0 for a byte that no token holds. */
export const TOKEN_LOWER = new Uint8Array(256);
/** 1 for a byte that a field value may hold: visible ASCII, SP, HTAB, obs-text. */
export const VALUE = new Uint8Array(256);
/** 1 for a byte that a request target may hold: visible ASCII but `#`. */
export const TARGET = new Uint8Array(256);
/** 1 for a byte of a registered name in a host (RFC 3986 section 3.2.2), but for `%`; a comma would make a list. */
export const HOST = new Uint8Array(256);
/** The value of a hexadecimal digit, or 255. */
export const HEX = new Uint8Array(256).fill(255);

for (let byte = 0x21; byte < 0x7f; byte++) {
  VALUE[byte] = 1;
  TARGET[byte] = 1;
  if (!'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte))) {
    TOKEN_LOWER[byte] = String.fromCharCode(byte).toLowerCase().charCodeAt(0);
  }
}
TARGET[0x23] = 0;
for (const mark of "-._~!$&'()*+;=") HOST[mark.charCodeAt(0)] = 1;
for (let byte = 0x30; byte < 0x7b; byte++) if (/[0-9A-Za-z]/.test(String.fromCharCode(byte))) HOST[byte] = 1;
VALUE[0x20] = 1;
VALUE[0x09] = 1;
for (let byte = 0x80; byte < 0x100; byte++) VALUE[byte] = 1;
for (let digit = 0; digit < 16; digit++) {
  HEX[digit.toString(16).charCodeAt(0)] = digit;
  HEX[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}
