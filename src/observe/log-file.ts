// Batched writers for access logs, one per path, shared by every logger that names the path.
export class LogFiles {
  /** Opens every file anew, after a rotation. */
  reopen(): void {}
  /** Writes out what is buffered; resolves when it is written or has failed. */
  async flush(): Promise<void> {}
  /** Flushes and closes everything. */
  async close(): Promise<void> {}
}
