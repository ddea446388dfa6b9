// Node's tls, loaded when the first context is made: a sidecar without TLS saves 4 MB. Whoever needs more than
// its types asks here.
import type * as NodeTls from 'node:tls';

export function nodeTls(): typeof NodeTls {
  return process.getBuiltinModule('node:tls');
}
