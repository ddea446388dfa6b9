// Where keys may be fetched from: http and https only, and no address of this machine, of a private network or of a
// link, so that nobody who may write a rule can have the control service ask what only it can reach (a cloud's metadata
// service, an admin port). Names are judged by what they resolve to, at the moment of the connection: an answer that
// changes afterwards changes nothing. A flag of the control service allows private addresses.
// Source: reliability 5.3; RFC 6890 and the IANA registries of special-purpose addresses.
import { lookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const PRIVATE = new BlockList();
for (const range of [
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24',
  '192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
]
  .join(' ')
  .split(' ')) {
  const [network = '', bits = ''] = range.split('/');
  PRIVATE.addSubnet(network, Number(bits), 'ipv4');
}
for (const range of '::/96 ::1/128 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8'.split(
  ' ',
)) {
  const [network = '', bits = ''] = range.split('/');
  PRIVATE.addSubnet(network, Number(bits), 'ipv6');
}

/** True for an address that only machines nearby can reach, and for what is no address. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  // A mapped address (::ffff:10.0.0.1) is judged as the IPv4 address that it is.
  return family === 0 || PRIVATE.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Why keys are not fetched from `url`; empty: they may be. */
export function refusalOfUrl(url: URL, allowsPrivate: boolean): string {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return `${url.protocol} is neither http: nor https:`;
  if (url.username !== '' || url.password !== '') return 'it holds a password';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !allowsPrivate && isPrivateAddress(host)) return `${host} is a private address`;
  return '';
}

/** Resolves names for a connection, and fails where one leads to a private address. */
export function guardedLookup(allowsPrivate: boolean): LookupFunction {
  return (host, options, done) => {
    lookup(host, { ...options, all: true }, (failed, found: LookupAddress[]) => {
      if (failed !== null) return done(failed, '', 0);
      const bad = allowsPrivate ? undefined : found.find(({ address }) => isPrivateAddress(address));
      const [first] = found;
      if (bad !== undefined) return done(new Error(`${host} is at the private address ${bad.address}`), '', 0);
      if (first === undefined) return done(new Error(`${host} has no address`), '', 0);
      if (options.all === true) done(null, found);
      else done(null, first.address, first.family);
    });
  };
}
