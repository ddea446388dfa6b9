// What AuthorizationPolicy means, as its documentation says it: a naive evaluator over the objects that users write. It
// shares no code with the translation or the data plane, and is what both are compared with.

export interface Tried {
  readonly method: string;
  /** Without query. */
  readonly path: string;
  readonly host: string;
  readonly headers: readonly (readonly [string, string])[];
  /** `td/ns/NS/sa/SA`; empty: plaintext. */
  readonly principal: string;
  readonly ip: string;
  readonly remoteIp: string;
  /** Of the token; null: none. */
  readonly claims: Readonly<Record<string, string | readonly string[]>> | null;
}

type Values = readonly string[] | undefined;
export type Part = Readonly<Record<string, Values>>;
export interface When {
  readonly key: string;
  readonly values?: readonly string[];
  readonly notValues?: readonly string[];
}
export interface Rule {
  readonly from?: readonly { readonly source: Part }[];
  readonly to?: readonly { readonly operation: Part }[];
  readonly when?: readonly When[];
}
export interface PolicyModel {
  readonly action: 'ALLOW' | 'DENY' | 'AUDIT';
  readonly rules: readonly Rule[];
}

const NAMESPACE = 'shop';
export const PORT = '8080';
const HTTP_ONLY = /^(?:hosts|methods|paths|requestPrincipals|request\..*)$/;

/** True when the request may pass; `isTcp`: it is a connection only. */
export function mayPass(policies: readonly PolicyModel[], tried: Tried, isTcp: boolean): boolean {
  const held = (action: PolicyModel['action']): boolean =>
    policies.some(
      (policy) => policy.action === action && policy.rules.some((rule) => holds(rule, action, tried, isTcp)),
    );
  if (held('DENY')) return false;
  return policies.every(({ action }) => action !== 'ALLOW') || held('ALLOW');
}

function holds(rule: Rule, action: PolicyModel['action'], tried: Tried, isTcp: boolean): boolean {
  const parts = [
    ...(rule.from ?? []).map(({ source }) => source),
    ...(rule.to ?? []).map(({ operation }) => operation),
  ];
  const fields = [...parts.flatMap((part) => Object.keys(part).map(plain)), ...(rule.when ?? []).map(({ key }) => key)];
  if (isTcp && action === 'ALLOW' && fields.some((field) => HTTP_ONLY.test(field))) return false;
  const asks = (name: string): boolean => !(isTcp && HTTP_ONLY.test(name));
  const partHolds = (part: Part): boolean =>
    Object.entries(part).every(([field, values]) => {
      const name = plain(field);
      if (!asks(name) || values === undefined) return true;
      return name === field ? any(name, values, action, tried) : none(name, values, action, tried);
    });
  const some = (list: readonly Part[]): boolean => list.length === 0 || list.some(partHolds);
  return (
    some((rule.from ?? []).map(({ source }) => source)) &&
    some((rule.to ?? []).map(({ operation }) => operation)) &&
    (rule.when ?? []).every(({ key, values, notValues }) => {
      if (!asks(key)) return true;
      if (values !== undefined && !any(key, values, action, tried)) return false;
      return notValues === undefined || none(key, notValues, action, tried);
    })
  );
}

/** `notPaths` is `paths`. */
function plain(field: string): string {
  return /^not[A-Z]/.test(field) ? field.charAt(3).toLowerCase() + field.slice(4) : field;
}

/** Several header lines: an ALLOW wants all of them to match. */
function any(name: string, values: readonly string[], action: PolicyModel['action'], tried: Tried): boolean {
  const lines = linesOf(name, tried);
  if (lines === null) return values.some((value) => one(name, value, tried));
  const isIn = (line: string): boolean => values.some((value) => wild(line, value));
  return action === 'ALLOW' ? lines.length > 0 && lines.every(isIn) : lines.some(isIn);
}

/** Several header lines: whoever is not an ALLOW minds one that is not excepted. */
function none(name: string, values: readonly string[], action: PolicyModel['action'], tried: Tried): boolean {
  const lines = linesOf(name, tried);
  if (lines === null) return !values.some((value) => one(name, value, tried));
  const isIn = (line: string): boolean => values.some((value) => wild(line, value));
  return !lines.some(isIn) || (action !== 'ALLOW' && !lines.every(isIn));
}

function linesOf(name: string, { headers }: Tried): readonly string[] | null {
  const [, header] = /^request\.headers\[(.+)\]$/.exec(name) ?? [];
  return header === undefined ? null : headers.filter(([own]) => own === header).map(([, value]) => value);
}

function one(name: string, value: string, tried: Tried): boolean {
  const [domain = '', , ns = '', , account = ''] = tried.principal.split('/');
  const isKnown = tried.principal !== '';
  switch (name) {
    case 'principals':
    case 'source.principal':
      return isKnown && wild(tried.principal, value);
    case 'namespaces':
    case 'source.namespace':
      return isKnown && wild(ns, value);
    case 'serviceAccounts':
    case 'source.serviceAccount':
      return isKnown && (value.includes('/') ? value : `${NAMESPACE}/${value}`) === `${ns}/${account}`;
    case 'trustDomains':
    case 'source.trustDomain':
      return isKnown && wild(domain, value);
    case 'ipBlocks':
    case 'source.ip':
      return inBlock(tried.ip, value);
    case 'remoteIpBlocks':
    case 'remote.ip':
      return inBlock(tried.remoteIp, value);
    case 'hosts':
      return wild(tried.host.toLowerCase(), value.toLowerCase());
    case 'methods':
      return wild(tried.method, value);
    case 'paths':
      return value.includes('{') ? template(tried.path, value) : wild(tried.path, value);
    case 'ports':
    case 'destination.port':
      return value === PORT;
    case 'requestPrincipals':
    case 'request.auth.principal':
      return requestPrincipal(tried, value);
    case 'request.auth.audiences':
      return claim(tried, 'aud', value);
    case 'request.auth.claims[group]':
      return claim(tried, 'group', value);
    default:
      throw new Error(`the model does not know ${name}`);
  }
}

function wild(text: string, pattern: string): boolean {
  if (pattern === '*') return text !== '';
  if (pattern.startsWith('*')) return text.endsWith(pattern.slice(1));
  if (pattern.endsWith('*')) return text.startsWith(pattern.slice(0, -1));
  return text === pattern;
}

function template(path: string, pattern: string): boolean {
  const want = pattern.split('/');
  const have = path.split('/');
  for (const [index, segment] of want.entries()) {
    if (segment === '{**}') return have.length > index;
    const own = have[index];
    if (own === undefined || (segment === '{*}' ? own === '' : own !== segment)) return false;
  }
  return have.length === want.length;
}

function inBlock(ip: string, block: string): boolean {
  const [base = '', bits = '32'] = block.split('/');
  const size = 2 ** (32 - Number(bits));
  return Math.floor(numberOf(ip) / size) === Math.floor(numberOf(base) / size);
}

function numberOf(ip: string): number {
  return ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function claim({ claims }: Tried, name: string, value: string): boolean {
  const found = claims?.[name];
  if (found === undefined) return false;
  return typeof found === 'string' ? wild(found, value) : found.some((entry) => wild(entry, value));
}

function requestPrincipal({ claims }: Tried, value: string): boolean {
  const { iss, sub } = claims ?? {};
  if (typeof iss !== 'string' || typeof sub !== 'string' || iss === '' || sub === '') return false;
  return wild(`${iss}/${sub}`, value);
}
