// How the verification of a token can end, in Envoy's words and with its numbers: the text is the body of the answer,
// the number and the text go into metadata (failed_status_in_metadata), the details into the access log. A wrong
// audience is answered 403, everything else 401. Statuses are compared by identity.
// Source: Envoy source/common/jwt/status.{h,cc} and the JWT authentication filter, as measured on Envoy 1.40.

export interface JwtStatus {
  readonly code: number;
  readonly text: string;
  /** Of the answer. */
  readonly httpStatus: number;
  /** %RESPONSE_CODE_DETAILS% */
  readonly details: string;
}

function status(code: number, text: string, httpStatus = 401): JwtStatus {
  const details = `jwt_authn_access_denied{${text.replaceAll(' ', '_')}}`;
  return Object.freeze({ code, text, httpStatus, details });
}

/** The verdict is not known before the provider's keys are: never the end of a request. */
export const PENDING: JwtStatus = status(-1, 'Jwks is being fetched');

export const JWT = {
  ok: status(0, 'OK'),
  missing: status(1, 'Jwt is missing'),
  notYetValid: status(2, 'Jwt not yet valid'),
  expired: status(3, 'Jwt is expired'),
  badFormat: status(4, 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections'),
  headerBadBase64: status(5, 'Jwt header is an invalid Base64url encoded'),
  headerBadJson: status(6, 'Jwt header is an invalid JSON'),
  headerBadAlg: status(7, 'Jwt header [alg] field is required and must be a string'),
  algNotSupported: status(8, 'Jwt header [alg] is not supported'),
  headerBadKid: status(9, 'Jwt header [kid] field is not a string'),
  payloadBadBase64: status(10, 'Jwt payload is an invalid Base64url encoded'),
  payloadBadJson: status(11, 'Jwt payload is an invalid JSON'),
  issNotString: status(12, 'Jwt payload [iss] field is not a string'),
  subNotString: status(13, 'Jwt payload [sub] field is not a string'),
  iatNotInteger: status(14, 'Jwt payload [iat] field is not an integer'),
  iatOutOfRange: status(15, 'Jwt payload [iat] field is not a positive 64 bit integer'),
  nbfNotInteger: status(16, 'Jwt payload [nbf] field is not an integer'),
  nbfOutOfRange: status(17, 'Jwt payload [nbf] field is not a positive 64 bit integer'),
  expNotInteger: status(18, 'Jwt payload [exp] field is not an integer'),
  expOutOfRange: status(19, 'Jwt payload [exp] field is not a positive 64 bit integer'),
  jtiNotString: status(20, 'Jwt payload [jti] field is not a string'),
  audNotString: status(21, 'Jwt payload [aud] field is not a string or string list'),
  signatureBadBase64: status(22, 'Jwt signature is an invalid Base64url encoded'),
  ed25519WrongLength: status(23, 'Jwt ED25519 signature is wrong length'),
  unknownIssuer: status(24, 'Jwt issuer is not configured'),
  audienceNotAllowed: status(25, 'Audiences in Jwt are not allowed', 403),
  verificationFails: status(26, 'Jwt verification fails'),
  multipleTokens: status(27, 'Found multiple Jwt tokens'),
  jwksBadJson: status(28, 'Jwks is an invalid JSON'),
  jwksNoKeys: status(29, 'Jwks does not have [keys] field'),
  jwksBadKeys: status(30, '[keys] in Jwks is not an array'),
  noValidKeys: status(31, "Jwks doesn't have any valid public key"),
  noMatchingKey: status(32, "Jwks doesn't have key to match kid or alg from Jwt"),
  /** Ours: there is no room for another check. */
  overloaded: status(-2, 'Too many Jwts are being verified', 503),
  /** Ours: the signature would have to be waited for, and nobody waits (`/explain`). */
  notVerified: status(-3, 'Jwt is not verified yet'),
  fetchFailed: status(39, 'Jwks remote fetch is failed'),
} as const;
