// How long a server keeps an idle connection, as the first response on it says (Keep-Alive: timeout=5, an extension that
// many servers send; RFC 2068 section 19.7.1). A request that meets the server's FIN would fail, so a connection is given
// up a little before. Read once per connection, because servers say the same each time.

const MARGIN_MS = 1000;

/** Milliseconds that a connection may be idle by this Keep-Alive field; 0 when it does not say. */
export function idleAllowanceMs(field: string | null): number {
  const seconds =
    field === null ? Number.NaN : Number(/(?:^|[\s,;])timeout\s*=\s*"?(\d{1,7})/i.exec(field)?.[1] ?? Number.NaN);
  if (Number.isNaN(seconds)) return 0;
  const ms = seconds * 1000;
  // Of a second, half is left for the way there.
  return Math.max(ms - MARGIN_MS, ms / 2, 1);
}
