// Bytes of ClientHellos for tests, record by record.

export interface HelloInit {
  readonly serverName?: string;
  readonly protocols?: readonly string[];
  /** Bytes of the handshake message in each record; all in one by default. */
  readonly recordBytes?: number;
  /** Bytes of an extension nobody knows. */
  readonly padding?: number;
}

export function clientHello({ serverName, protocols, recordBytes = 16_384, padding = 0 }: HelloInit = {}): Buffer {
  const extensions: Buffer[] = [];
  if (padding > 0) extensions.push(extension(21, Buffer.alloc(padding)));
  if (serverName !== undefined) {
    extensions.push(extension(0, vector(2, Buffer.concat([Buffer.of(0), vector(2, Buffer.from(serverName))]))));
  }
  if (protocols !== undefined) {
    extensions.push(extension(16, vector(2, Buffer.concat(protocols.map((name) => vector(1, Buffer.from(name)))))));
  }
  const body = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32)),
    vector(2, Buffer.of(0x13, 0x01)),
    vector(1, Buffer.of(0)),
    vector(2, Buffer.concat(extensions)),
  ]);
  const message = Buffer.concat([Buffer.of(1), vector(3, body)]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes) {
    records.push(Buffer.of(22, 3, 1), vector(2, message.subarray(at, at + recordBytes)));
  }
  return Buffer.concat(records);
}

function vector(size: number, bytes: Buffer): Buffer {
  const length = Buffer.alloc(size);
  length.writeUIntBE(bytes.length, 0, size);
  return Buffer.concat([length, bytes]);
}

function extension(type: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type >> 8, type & 255), vector(2, bytes)]);
}
