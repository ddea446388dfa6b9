// RequestAuthentication (security.istio.io): whose tokens are good. Fields and meanings are Istio's
// (security/v1beta1/request_authentication.proto), the words ours; reader: config/request-authentication.ts.
import { HEADER_PATTERN, PLACES_MAX, RULES_MAX } from '../request-authentication.ts';
import { duration, flag, list, object, text } from './field-schema.ts';
import type { FieldSchema } from './field-schema.ts';
import { policyTargets } from './selector-schema.ts';

export function requestAuthenticationSpec(): FieldSchema {
  return object(
    'Which tokens are good. A request without one is not refused here: an AuthorizationPolicy does that.',
    { ...policyTargets(), jwtRules: list('One for each issuer.', jwtRule(), { maxItems: RULES_MAX }) },
    { atMostOne: [['selector', 'targetRef', 'targetRefs']], refusesNull: true },
  );
}

function jwtRule(): FieldSchema {
  return object(
    'The tokens of one issuer.',
    {
      issuer: text('Who makes the tokens, as their iss says.'),
      audiences: words('For whom the tokens are: one of these; anybody by default.'),
      jwksUri: text('Where the public keys are; by default what the OpenID configuration of the issuer says.', {
        pattern: '^\\s*[hH][tT][tT][pP][sS]?:.+',
      }),
      jwks: text('The public keys themselves, as JSON.'),
      fromHeaders: list(
        'Headers that tokens stand in; by default Authorization, behind Bearer.',
        object(
          'One of them.',
          { name: header('Its name.'), prefix: text('What stands in front of the token, with the blank.') },
          { required: ['name'] },
        ),
        { maxItems: PLACES_MAX },
      ),
      fromParams: words('Parameters of the query that tokens stand in; access_token by default.'),
      fromCookies: words('Cookies that tokens stand in.'),
      outputPayloadToHeader: header('A header that gets the claims, in base64url.'),
      outputClaimToHeaders: list(
        'Headers that get single claims.',
        object(
          'One of them.',
          { header: header('Its name.'), claim: text('The claim: a name, or a path a.b.') },
          { required: ['header', 'claim'] },
        ),
        { maxItems: PLACES_MAX },
      ),
      forwardOriginalToken: flag('The app gets the token, too.'),
      timeout: {
        ...duration('How long a fetch of the keys may take; 5s by default, 60s at most.'),
        rules: [
          {
            rule: `duration(self) > duration('0s') && duration(self) <= duration('60s')`,
            message: 'must be more than 0s and at most 60s',
          },
        ],
      },
      spaceDelimitedClaims: words('Claims, beside scope, that are lists with blanks between.'),
    },
    { required: ['issuer'], refusesNull: true, atMostOne: [['jwks', 'jwksUri']] },
  );
}

function header(description: string): FieldSchema {
  return text(description, { pattern: `(^$)|${HEADER_PATTERN}` });
}

function words(description: string): FieldSchema {
  return list(description, text('One of them.', { minLength: 1 }), { maxItems: RULES_MAX });
}
