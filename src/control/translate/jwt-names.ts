// The names by which those who judge tokens and those who ask for their claims meet: Istio's.

/** The JWT filter, and the namespace of its metadata. */
export const JWT_FILTER = 'envoy.filters.http.jwt_authn';
/** The key of a token's claims there: AuthorizationPolicies and routes look under it. */
export const PAYLOAD = 'payload';
