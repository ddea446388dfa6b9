// Where a rule sends what it takes: a host, a subset of it, a port (istio.networking.v1 Destination).
import { object, port, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';

export function destination(description: string): FieldSchema {
  return object(
    description,
    {
      host: text(
        'A service of the mesh. A short name is one of the namespace of the rule; write it in full to be sure.',
      ),
      subset: text('A subset that a DestinationRule of the host defines.'),
      port: portSelector('The port of the service; not needed where it has only one.'),
    },
    { required: ['host'] },
  );
}

/** `port: { number }`. */
export function portSelector(description: string): FieldSchema {
  return object(description, { number: port('The number of the port.') });
}
