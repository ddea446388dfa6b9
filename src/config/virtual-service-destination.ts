// Destination of a rule: a host, a subset of it and a port. Shared by the HTTP, TLS and TCP rules of a
// VirtualService and by its mirrors (istio.networking.v1 Destination).
import type { Fields } from './fields.ts';

export interface Destination {
  readonly host: string;
  readonly subset: string;
  /** 0 when not given. */
  readonly port: number;
}

export function readDestination(fields: Fields): Destination {
  fields.refuseUnknown();
  return {
    host: fields.requiredText('host', 'add host: with the name of a service'),
    subset: fields.text('subset'),
    port: fields.object('port', (port) => port.port('number'), 'write port: { number: … }') ?? 0,
  };
}
