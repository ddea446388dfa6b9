// What an authorization service has decided of a request, whichever protocol it speaks: allowed, with what is to be
// changed of the request and of the response to come; denied, with the answer; or no decision at all. Names are in
// lower case and values are wire text, one character a byte; neither is checked yet.
import type { JsonObject } from '@bufbuild/protobuf';

export type AuthzField = readonly [name: string, value: string];

/** Of the request, once it is allowed. */
export interface RequestChanges {
  readonly set: readonly AuthzField[];
  readonly add: readonly AuthzField[];
  /** Behind a value that is there; nothing happens where none is. */
  readonly append: readonly AuthzField[];
  readonly remove: readonly string[];
  readonly addIfAbsent: readonly AuthzField[];
  readonly overwriteIfPresent: readonly AuthzField[];
  readonly setParameters: readonly AuthzField[];
  readonly removeParameters: readonly string[];
}

/** Of the response that an allowed request gets in the end. */
export interface ResponseChanges {
  readonly add: readonly AuthzField[];
  readonly set: readonly AuthzField[];
  readonly addIfAbsent: readonly AuthzField[];
  readonly overwriteIfPresent: readonly AuthzField[];
}

export type AuthzDecision =
  | {
      readonly kind: 'allowed';
      readonly request: RequestChanges;
      readonly response: ResponseChanges;
      /** Null: none. */
      readonly metadata: JsonObject | null;
      /** It asked for an action that there is not. */
      readonly isMalformed: boolean;
    }
  | {
      readonly kind: 'denied';
      readonly status: number;
      readonly headers: readonly AuthzField[];
      /** Wire text. */
      readonly body: string;
      readonly metadata: JsonObject | null;
      readonly isMalformed: boolean;
    }
  /** `reason` for logs and spans, never for the caller. */
  | { readonly kind: 'failed'; readonly reason: string };

export const NO_REQUEST_CHANGES: RequestChanges = Object.freeze({
  set: [],
  add: [],
  append: [],
  remove: [],
  addIfAbsent: [],
  overwriteIfPresent: [],
  setParameters: [],
  removeParameters: [],
});

export const NO_RESPONSE_CHANGES: ResponseChanges = Object.freeze({
  add: [],
  set: [],
  addIfAbsent: [],
  overwriteIfPresent: [],
});

export function changesRequest(changes: RequestChanges): boolean {
  return Object.values(changes).some((list) => list.length > 0);
}

export function changesResponse(changes: ResponseChanges): boolean {
  return Object.values(changes).some((list) => list.length > 0);
}
