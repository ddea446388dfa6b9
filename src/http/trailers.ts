// Which trailers go on to the next hop. A trailer comes after everything that was decided by the head, so a
// field that frames, routes, authenticates, modifies or identifies a message says nothing here and is
// dropped, in its spelling with underscores too, as is every field that Connection nominates; others pass
// as they are, with canonical blanks.
// Source: RFC 9110 sections 6.5.1 and 7.6.1; RFC 9112 section 7.1.2.

/** By the reason for which they are dropped. */
const DROPPED: ReadonlySet<string> = new Set([
  // Framing and the connection itself.
  ...'transfer-encoding content-length connection keep-alive proxy-connection te trailer upgrade'.split(' '),
  // Routing.
  ...'host authority path method scheme status via location max-forwards'.split(' '),
  // Request modifiers: controls and conditionals.
  ...'cache-control expect pragma range if-match if-none-match if-range'.split(' '),
  ...'if-modified-since if-unmodified-since'.split(' '),
  // Authentication.
  ...'authorization proxy-authorization www-authenticate proxy-authenticate'.split(' '),
  ...'authentication-info proxy-authentication-info'.split(' '),
  // Cookies.
  ...'cookie set-cookie'.split(' '),
  // Response control data.
  ...'age date expires retry-after vary warning'.split(' '),
  // How the content is to be processed.
  ...'content-encoding content-type content-range content-location'.split(' '),
  // Who asked and what the proxies say of it.
  ...'forwarded x-real-ip x-request-id x-client-ip true-client-ip cf-connecting-ip'.split(' '),
]);

/** Fields of the proxies themselves. */
const DROPPED_PREFIXES: readonly string[] = ['x-forwarded-', 'x-envoy-', 'x-outrigger-', 'x-istio-', 'proxy-'];

/**
 * The trailers among `text` that may go on, as `name: value` lines with CRLF; empty when there are none.
 * `text` is a trailer section whose syntax was checked; lines end with CRLF, and it ends with an empty
 * line. `nominated` is Framing.nominated.
 */
export function filterTrailers(text: string, nominated: string): string {
  let kept = '';
  let start = 0;
  for (let end = text.indexOf('\r\n'); end > start; end = text.indexOf('\r\n', start)) {
    const colon = text.indexOf(':', start);
    const name = text.slice(start, colon);
    if (mayPass(name.toLowerCase(), nominated)) kept += name + ': ' + trimBlanks(text, colon + 1, end) + '\r\n';
    start = end + 2;
  }
  return kept;
}

function mayPass(lowerName: string, nominated: string): boolean {
  if (nominated !== '' && nominated.includes(',' + lowerName + ',')) return false;
  const name = lowerName.replaceAll('_', '-');
  return !DROPPED.has(name) && !DROPPED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** Only SP and HTAB are blanks here (RFC 9110 section 5.6.3): String.trim takes more. */
function trimBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
