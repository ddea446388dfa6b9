// PeerAuthentication (security.istio.io): whether workloads take plaintext. Fields and meanings are Istio's
// (security/v1beta1/peer_authentication.proto), the words ours; reader: config/peer-authentication.ts.
import { MTLS_MODES } from '../peer-authentication.ts';
import { choice, map, object } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { labelSelector } from './selector-schema.ts';

const PORT_MAX = 65_535;

export function peerAuthenticationSpec(): FieldSchema {
  return object(
    'Whether workloads take mutual TLS, plaintext or both: of the mesh in the root namespace, else of a namespace or of some.',
    {
      selector: labelSelector('The workloads that it is for; all of the namespace by default.'),
      mtls: mode('What holds for all ports.'),
      portLevelMtls: map('What holds for single ports of the workload, by number.', mode('What holds for this port.'), {
        maxProperties: PORT_MAX,
        rules: [
          {
            rule: `self.all(key, key.matches('^[0-9]{1,9}$') && int(key) >= 1 && int(key) <= ${PORT_MAX})`,
            message: `each name is the number of a port, 1 to ${PORT_MAX}`,
          },
        ],
      }),
    },
    {
      rules: [
        {
          rule:
            '!has(self.portLevelMtls) || size(self.portLevelMtls) == 0 || ' +
            '(has(self.selector) && has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0)',
          message: 'portLevelMtls needs a selector with labels',
        },
      ],
    },
  );
}

function mode(description: string): FieldSchema {
  return object(description, {
    mode: choice(
      'STRICT refuses plaintext, PERMISSIVE takes both, DISABLE takes plaintext, UNSET asks the wider policy.',
      MTLS_MODES,
    ),
  });
}
