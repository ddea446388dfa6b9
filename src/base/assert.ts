// Assertions on our own mistakes. Never on bytes from a socket or on what a cluster says: those
// are handled, not asserted.

export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed';
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message);
}

/** Closes a switch over a discriminated union: a new variant becomes a compile error here. */
export function assertNever(value: never): never {
  throw new AssertionFailed(`unhandled variant ${JSON.stringify(value)}`);
}
