// Whether a request was sent to this machine under a name that cannot be somebody else's. A page in a browser here may have
// its own name resolved to 127.0.0.1 afterwards ("DNS rebinding"), and is then of the same origin as our pages for the browser;
// the Host that it sends stays its own. Addresses of loopback and `localhost` cannot be turned like that.
import { isIP } from 'node:net';

/** `host`: the field as sent, with or without a port; absent or empty is no browser. */
export function isOwnHost(host: string | undefined): boolean {
  if (host === undefined || host === '') return true;
  const name = host.replace(/:\d*$/, '').toLowerCase();
  const bare = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
  return (isIP(bare) !== 0 && isLoopback(bare)) || /^(?:.+\.)?localhost\.?$/.test(name);
}

/** An address of a socket, as node:net writes it. */
export function isLoopback(address: string | undefined): boolean {
  const bare = (address ?? '').replace(/^::ffff:/, '');
  return bare === '::1' || bare.startsWith('127.');
}

/** Of a bound address, `HOST:PORT` or `unix:PATH`: whether only this machine reaches it. */
export function isBoundHere(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':'));
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.') || host.startsWith('unix:');
}
