// Mutates bytes of HTTP/1.1 messages the way that mistakes and attacks do: flips, deletions, repetitions,
// splices with another message, line ends, case, and words that parsers disagree about.

const WORDS: readonly string[] = [
  '\r\n',
  '\r\n\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '	',
  ':',
  ',',
  ';',
  '\xA0',
  '\v',
  'ÿ',
  '%00',
  '%2f',
  '//',
  '..',
  '#',
  '@',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Host: evil.test\r\n',
  'Connection: close\r\n',
  'Connection: x-a\r\n',
  ' folded\r\n',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  '0',
  '5',
  'ffff',
  'GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL',
  'HTTP/1.0',
  'HTTP/1.1',
];

/** One to four changes of `bytes`; `others` are what splices take from, `random` gives numbers in [0, 1). */
export function mutate(bytes: string, others: readonly string[], random: () => number): string {
  let text = bytes;
  const count = 1 + Math.floor(random() * 4);
  for (let change = 0; change < count; change++) text = changeOnce(text, others, random);
  return text;
}

function changeOnce(text: string, others: readonly string[], random: () => number): string {
  const at = Math.floor(random() * (text.length + 1));
  const end = Math.min(text.length, at + 1 + Math.floor(random() * 12));
  const [before, range, after] = [text.slice(0, at), text.slice(at, end), text.slice(end)];
  switch (Math.floor(random() * 9)) {
    case 0:
      return (
        before + String.fromCharCode((range.charCodeAt(0) || 0) ^ (1 << Math.floor(random() * 8))) + text.slice(at + 1)
      );
    case 1:
      return before + String.fromCharCode(Math.floor(random() * 256)) + text.slice(at + 1);
    case 2:
      return before + after;
    case 3:
      return before + range + range + after;
    case 4: {
      const other = others[Math.floor(random() * others.length)] ?? '';
      return before + other.slice(Math.floor(random() * other.length));
    }
    case 5:
      return text.replace('\r\n', random() < 0.5 ? '\n' : '\r');
    case 6:
      return (
        before + (random() < 0.5 ? range.toUpperCase() : range.toLowerCase()).replaceAll(/[^\0-\xff]/g, '?') + after
      );
    case 7:
      return before + (WORDS[Math.floor(random() * WORDS.length)] ?? '') + text.slice(at);
    default: {
      const line = text.indexOf('\r\n', at);
      const word = WORDS[Math.floor(random() * WORDS.length)] ?? '';
      return line === -1 ? text + word : text.slice(0, line + 2) + word + text.slice(line + 2);
    }
  }
}
