// Fields that nothing out of a token, and no refusal of a policy, may be written into: they say where the request ends, to whom it goes and
// who calls. A value that a user chose would let one request pass for two, or one caller for another.

const VITAL: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-forwarded-client-cert',
]);

/** `name` in any case. */
export function isVitalHeader(name: string): boolean {
  return VITAL.has(name.toLowerCase());
}
