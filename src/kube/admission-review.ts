// AdmissionReview (admission.k8s.io/v1) as bytes, both ways. What comes in is bounded in size and depth before anybody
// walks it; what cannot be read is refused with a status of HTTP and words for the log of the API server. What goes out
// keeps to what an API server takes: its limits of warnings are ours.
import { Buffer } from 'node:buffer';
import { isJsonRecord, listOf, recordOf, textOf, textsOf, type JsonRecord } from './json-record.ts';
import type { JsonPatchOperation } from './json-patch.ts';
import type { KubeCause } from './kube-answer.ts';

export interface AdmissionKind {
  readonly group: string;
  readonly version: string;
  /** `Pod` of `kind`, `pods` of `resource`. */
  readonly name: string;
}

export interface AdmissionRequest {
  readonly uid: string;
  readonly kind: AdmissionKind;
  readonly resource: AdmissionKind;
  /** `status`; empty for the object itself. */
  readonly subresource: string;
  /** Empty when the server will make one from `generateName`. */
  readonly name: string;
  readonly namespace: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly username: string;
  readonly groups: readonly string[];
  /** Null with DELETE. */
  readonly object: JsonRecord | null;
  /** Null with CREATE and CONNECT. */
  readonly oldObject: JsonRecord | null;
  /** Nothing may be changed outside. */
  readonly isDryRun: boolean;
}

export type ReadAdmission =
  | { readonly kind: 'read'; readonly request: AdmissionRequest }
  | { readonly kind: 'refused'; readonly status: 400 | 413 | 415; readonly message: string };

export type AdmissionVerdict =
  | {
      readonly kind: 'allowed';
      readonly warnings?: readonly string[];
      /** None, or empty: the object stays as it is. */
      readonly patch?: readonly JsonPatchOperation[];
    }
  | {
      readonly kind: 'denied';
      /** Of HTTP; 422 by default. */
      readonly status?: number;
      /** `Invalid` by default. */
      readonly reason?: string;
      readonly message: string;
      readonly causes?: readonly KubeCause[];
      readonly warnings?: readonly string[];
    };

/** An API server takes requests of 3 MiB; an update brings the object twice. */
export const REVIEW_BYTES_MAX = 8 * 1024 * 1024;
export const REVIEW_DEPTH_MAX = 128;
const OPERATIONS = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] as const;
const API_VERSION = 'admission.k8s.io/v1';
/** Longer ones may be cut by the server, and beyond the sum it drops them. */
const WARNING_CHARACTERS_MAX = 256;
const WARNINGS_CHARACTERS_MAX = 4096;
const CAUSES_MAX = 64;

export function readAdmissionReview(body: Buffer, contentType: string): ReadAdmission {
  if (!/^application\/json\s*(?:;|$)/i.test(contentType.trim()))
    return { kind: 'refused', status: 415, message: 'the content type is not application/json' };
  if (body.length > REVIEW_BYTES_MAX)
    return { kind: 'refused', status: 413, message: `the review has more than ${REVIEW_BYTES_MAX} bytes` };
  let review: unknown;
  try {
    review = JSON.parse(body.toString('utf8'));
  } catch {
    return { kind: 'refused', status: 400, message: 'the review is no JSON' };
  }
  if (isDeeperThan(review, REVIEW_DEPTH_MAX))
    return { kind: 'refused', status: 400, message: `the review is deeper than ${REVIEW_DEPTH_MAX} levels` };
  const { apiVersion, kind, request } = recordOf(review);
  if (kind !== 'AdmissionReview' || apiVersion !== API_VERSION)
    return { kind: 'refused', status: 400, message: `the review is no AdmissionReview of ${API_VERSION}` };
  const read = isJsonRecord(request) ? readRequest(request) : null;
  if (read === null)
    return { kind: 'refused', status: 400, message: 'the request has no uid, no kind or no operation that is known' };
  return { kind: 'read', request: read };
}

/** The body of the answer. */
export function writeAdmissionReview(uid: string, verdict: AdmissionVerdict): string {
  return JSON.stringify({ apiVersion: API_VERSION, kind: 'AdmissionReview', response: response(uid, verdict) });
}

function readRequest(request: JsonRecord): AdmissionRequest | null {
  const uid = textOf(request['uid']);
  const operation = OPERATIONS.find((name) => name === request['operation']);
  const { group, version, kind } = recordOf(request['kind']);
  if (uid === '' || operation === undefined || textOf(kind) === '') return null;
  const resource = recordOf(request['resource']);
  const user = recordOf(request['userInfo']);
  return {
    uid,
    kind: { group: textOf(group), version: textOf(version), name: textOf(kind) },
    resource: {
      group: textOf(resource['group']),
      version: textOf(resource['version']),
      name: textOf(resource['resource']),
    },
    subresource: textOf(request['subResource']),
    name: textOf(request['name']),
    namespace: textOf(request['namespace']),
    operation,
    username: textOf(user['username']),
    groups: textsOf(user['groups']),
    object: isJsonRecord(request['object']) ? request['object'] : null,
    oldObject: isJsonRecord(request['oldObject']) ? request['oldObject'] : null,
    isDryRun: request['dryRun'] === true,
  };
}

function response(uid: string, verdict: AdmissionVerdict): JsonRecord {
  const warnings = boundedWarnings(verdict.warnings ?? []);
  const said = warnings.length === 0 ? {} : { warnings };
  if (verdict.kind === 'allowed') {
    const { patch = [] } = verdict;
    if (patch.length === 0) return { uid, allowed: true, ...said };
    const bytes = Buffer.from(JSON.stringify(patch)).toString('base64');
    return { uid, allowed: true, ...said, patchType: 'JSONPatch', patch: bytes };
  }
  const { status: code = 422, reason = 'Invalid', message, causes = [] } = verdict;
  const details =
    causes.length === 0
      ? {}
      : {
          details: { causes: causes.slice(0, CAUSES_MAX).map((cause) => ({ reason: 'FieldValueInvalid', ...cause })) },
        };
  const status = { status: 'Failure', code, reason, message, ...details };
  return { uid, allowed: false, ...said, status };
}

/** Without control characters, which a header cannot carry. */
function boundedWarnings(warnings: readonly string[]): readonly string[] {
  const bounded: string[] = [];
  let characters = 0;
  for (const warning of warnings) {
    const line = warning.replaceAll(/\p{Cc}+/gu, ' ').trim();
    const text = line.length > WARNING_CHARACTERS_MAX ? `${line.slice(0, WARNING_CHARACTERS_MAX - 1)}…` : line;
    characters += text.length;
    if (characters > WARNINGS_CHARACTERS_MAX) break;
    if (text !== '') bounded.push(text);
  }
  return bounded;
}

/** Walked without recursion: what is deep must not be deep for us. */
function isDeeperThan(value: unknown, depthMax: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) return true;
    const next: unknown[] = [];
    for (const entry of level) {
      if (typeof entry !== 'object' || entry === null) continue;
      for (const child of Array.isArray(entry) ? listOf(entry) : Object.values(entry))
        if (typeof child === 'object' && child !== null) next.push(child);
    }
    level = next;
  }
  return false;
}
