// AuthorizationPolicy (security.istio.io): who may do what. Fields and meanings are Istio's
// (security/v1beta1/authorization_policy.proto), the words ours. Empty lists are refused wherever they would widen a
// rule; readers: config/authorization-policy.ts and config/authorization-test.ts.
import { PARTS_MAX, RULES_MAX } from '../authorization-policy.ts';
import { ACCOUNT_LENGTH_MAX, ACCOUNTS_MAX, VALUE_LENGTH_MAX, VALUES_MAX } from '../authorization-test.ts';
import { choice, list, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { policyTargets } from './selector-schema.ts';

const WILD = 'Wildcards: a*, *a, *.';
const ANY_OF = 'Any of these must hold.';

export function authorizationPolicySpec(): FieldSchema {
  return object(
    'Which requests and connections workloads take.',
    {
      ...policyTargets(),
      action: choice('What becomes of those that a rule matches; ALLOW by default. DENY and CUSTOM are judged first.', [
        'ALLOW',
        'DENY',
        'AUDIT',
        'CUSTOM',
      ]),
      provider: object(
        'CUSTOM: who decides.',
        { name: text('An extension provider of the MeshConfig.') },
        { required: ['name'] },
      ),
      rules: list(`${ANY_OF} ALLOW without rules lets nobody in; one empty rule matches everything.`, rule(), {
        maxItems: RULES_MAX,
      }),
    },
    {
      refusesNull: true,
      atMostOne: [['selector', 'targetRef', 'targetRefs']],
      rules: [
        {
          rule: `has(self.provider) == (has(self.action) && self.action == 'CUSTOM')`,
          message: 'CUSTOM needs a provider, and other actions have none',
        },
        {
          rule: `!has(self.action) || !(self.action in ['DENY', 'CUSTOM']) || (has(self.rules) && size(self.rules) > 0)`,
          message: 'DENY and CUSTOM need rules; write rules: [{}] for every request',
        },
      ],
    },
  );
}

function rule(): FieldSchema {
  const parts = { minItems: 1, maxItems: PARTS_MAX };
  return object(
    'All of from, to and when that are there must hold.',
    {
      from: list(
        ANY_OF,
        object('One kind of callers.', { source: source() }, { required: ['source'], refusesNull: true }),
        parts,
      ),
      to: list(
        ANY_OF,
        object('One kind of requests.', { operation: operation() }, { required: ['operation'], refusesNull: true }),
        parts,
      ),
      when: list('All of these must hold.', condition(), parts),
    },
    { refusesNull: true },
  );
}

function source(): FieldSchema {
  const accounts = { minItems: 1, maxItems: ACCOUNTS_MAX };
  const account = 'Service accounts, NAME or NAMESPACE/NAME, without wildcards.';
  const apart = ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'];
  return object(
    'All fields that are there must hold.',
    {
      ...both('principals', `Identities of callers, without spiffe://. ${WILD}`),
      ...both('requestPrincipals', `ISSUER/SUBJECT of the token of the request. ${WILD}`),
      ...both('namespaces', `Namespaces of callers. ${WILD}`),
      serviceAccounts: { ...values(account, ACCOUNT_LENGTH_MAX), ...accounts },
      notServiceAccounts: { ...values(`None of these. ${account}`, ACCOUNT_LENGTH_MAX), ...accounts },
      ...both('trustDomains', `Trust domains of callers. ${WILD}`),
      ...both('ipBlocks', 'Addresses or ranges that connections come from.'),
      ...both('remoteIpBlocks', 'Addresses or ranges of the client, as X-Forwarded-For tells it.'),
    },
    {
      minProperties: 1,
      refusesNull: true,
      atMostOne: ['serviceAccounts', 'notServiceAccounts'].flatMap((name) => apart.map((other) => [name, other])),
    },
  );
}

function operation(): FieldSchema {
  return object(
    'All fields that are there must hold.',
    {
      ...both('hosts', `Host headers, without letter case. ${WILD}`),
      ...both('ports', 'Ports of the workload, in quotes.', '^[0-9]{1,5}$'),
      ...both('methods', `Methods; of gRPC it is POST. ${WILD}`),
      ...both('paths', `Paths, without the query. ${WILD} {*} is one part, {**} all that follows.`),
    },
    { minProperties: 1, refusesNull: true },
  );
}

function condition(): FieldSchema {
  return object(
    'One attribute and its values.',
    {
      key: text('Such as request.headers[NAME], source.ip, request.auth.claims[NAME], connection.sni.'),
      values: values('Any of these.'),
      notValues: values('None of these.'),
    },
    { required: ['key'], atLeastOne: [['values', 'notValues']] },
  );
}

/** A field and its negation. */
function both(name: string, description: string, pattern = ''): Readonly<Record<string, FieldSchema>> {
  const negation = `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  return {
    [name]: values(description, VALUE_LENGTH_MAX, pattern),
    [negation]: values(`None of these. ${description}`, VALUE_LENGTH_MAX, pattern),
  };
}

function values(description: string, maxLength = VALUE_LENGTH_MAX, pattern = ''): FieldSchema {
  const item = text('One of them.', { minLength: 1, maxLength, ...(pattern === '' ? {} : { pattern }) });
  return list(description, item, { minItems: 1, maxItems: VALUES_MAX });
}
