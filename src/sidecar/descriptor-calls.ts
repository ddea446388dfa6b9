// System calls on descriptors that Node has no word for: a copy of a descriptor, descriptors sent to another
// process over a Unix socket (SCM_RIGHTS), a filter that lets a listening socket take no new handshake, and options of
// sockets. They go by way of koffi and the C library of the process; loading it takes some 10 ms and 8 MB, so it
// happens when the first of them is needed: by --concurrency, --handover, a drain or a listener that asks for
// original destinations. 64-bit Linux only: layouts are written by hand. A call costs a microsecond.
// A descriptor that is passed in stays the caller's; one that is returned is the caller's to close.

export interface DescriptorCalls {
  /** A copy that a child process does not inherit; negative when there is none. */
  readonly duplicate: (descriptor: number) => number;
  /** Sends `record` (at most RECORD_BYTES, padded with blanks) with one descriptor, or none for -1. False: try again later. */
  readonly send: (socket: number, record: string, descriptor: number) => boolean;
  /** The next record with its descriptor (-1 for none); null: nothing there yet; `over`: there never will be. */
  readonly receive: (socket: number) => Received | 'over' | null;
  /** From now on new handshakes are dropped, silently; those under way are completed. False when the kernel refuses. */
  readonly stopHandshakes: (listening: number) => boolean;
  /** getsockopt(2): the number of bytes written into `value`, or the negated errno. */
  readonly getSocketOption: (socket: number, level: number, option: number, value: Buffer) => number;
}

export interface Received {
  readonly record: string;
  readonly descriptor: number;
}

/** A record of the hand-over. */
const RECORD_BYTES = 512;

const F_DUPFD_CLOEXEC = 1030;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_ATTACH_FILTER = 26;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x40_00;
const MSG_CMSG_CLOEXEC = 0x40_00_00_00;
const EAGAIN = 11;

/** Where things lie in the one buffer of a message: struct msghdr, struct iovec, struct cmsghdr with one int, the record. */
const AT = { header: 0, vector: 64, control: 128, record: 256 } as const;
const CONTROL_BYTES = 24;
const CONTROL_LENGTH = 20;

let loading: Promise<DescriptorCalls | null> | null = null;

/** Resolves to null where the platform has no such calls. Once per process (and thread). */
export function loadDescriptorCalls(): Promise<DescriptorCalls | null> {
  loading ??= load().catch(() => null);
  return loading;
}

async function load(): Promise<DescriptorCalls | null> {
  if (process.platform !== 'linux') return null;
  const { default: koffi } = await import('koffi');
  const library = koffi.load(null);
  // The third argument is variadic in C; an int is passed the same way on the platforms of ours.
  const control = library.func('int fcntl(int, int, int)');
  const option = library.func('int setsockopt(int, int, int, const void *, uint32_t)');
  const readOption = library.func('int getsockopt(int, int, int, _Out_ uint8_t *value, _Inout_ uint32_t *length)');
  const length = [0];
  const sendMessage = library.func('intptr_t sendmsg(int, const void *, int)');
  const receiveMessage = library.func('intptr_t recvmsg(int, void *, int)');
  const message = Buffer.alloc(1024);
  const address = koffi.address(message);
  return {
    duplicate(descriptor) {
      const copy: number = control(descriptor, F_DUPFD_CLOEXEC, 0);
      return copy;
    },
    send(socket, record, descriptor) {
      layOut(message, address, descriptor);
      message.fill(' ', AT.record, AT.record + RECORD_BYTES);
      message.write(record, AT.record, 'utf8');
      return Number(sendMessage(socket, message, MSG_DONTWAIT | MSG_NOSIGNAL)) === RECORD_BYTES;
    },
    receive(socket) {
      layOut(message, address, 0);
      const got = Number(receiveMessage(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
      if (got < 0 && koffi.errno() === EAGAIN) return null;
      if (got !== RECORD_BYTES) return 'over';
      const hasDescriptor = Number(message.readBigUInt64LE(AT.header + 40)) >= CONTROL_LENGTH;
      return {
        record: message.toString('utf8', AT.record, AT.record + RECORD_BYTES).trimEnd(),
        descriptor: hasDescriptor ? message.readInt32LE(AT.control + 16) : -1,
      };
    },
    stopHandshakes(listening) {
      const program = Buffer.alloc(FILTER.length * 8 + 16);
      FILTER.forEach(([code, yes, no, value], i) => {
        program.writeUInt16LE(code, i * 8);
        program.writeUInt8(yes, i * 8 + 2);
        program.writeUInt8(no, i * 8 + 3);
        program.writeUInt32LE(value, i * 8 + 4);
      });
      // struct sock_fprog: how many instructions, and where they are.
      const head = program.subarray(FILTER.length * 8);
      head.writeUInt16LE(FILTER.length, 0);
      head.writeBigUInt64LE(koffi.address(program), 8);
      return option(listening, SOL_SOCKET, SO_ATTACH_FILTER, head, 16) === 0;
    },
    getSocketOption(socket, level, name, value) {
      length[0] = value.length;
      return readOption(socket, level, name, value, length) === 0 ? (length[0] ?? 0) : -koffi.errno();
    },
  };
}

/**
 * Classic BPF over a TCP segment: drops what has the flag SYN (byte 13 of the header, RFC 9293 section 3.1) and
 * passes all else, so that the last segment of a handshake under way still arrives. Connections that are
 * accepted inherit the filter, and meet no SYN.
 */
const FILTER = [
  [0x30, 0, 0, 13],
  [0x45, 0, 1, 0x02],
  [0x06, 0, 0, 0],
  [0x06, 0, 0, 0xff_ff_ff_ff],
] as const;

function layOut(message: Buffer, address: bigint, descriptor: number): void {
  message.fill(0, 0, AT.record);
  message.writeBigUInt64LE(address + BigInt(AT.vector), AT.header + 16);
  message.writeBigUInt64LE(1n, AT.header + 24);
  message.writeBigUInt64LE(address + BigInt(AT.record), AT.vector);
  message.writeBigUInt64LE(BigInt(RECORD_BYTES), AT.vector + 8);
  if (descriptor < 0) return;
  message.writeBigUInt64LE(address + BigInt(AT.control), AT.header + 32);
  message.writeBigUInt64LE(BigInt(CONTROL_BYTES), AT.header + 40);
  message.writeBigUInt64LE(BigInt(CONTROL_LENGTH), AT.control);
  message.writeInt32LE(SOL_SOCKET, AT.control + 8);
  message.writeInt32LE(SCM_RIGHTS, AT.control + 12);
  message.writeInt32LE(descriptor, AT.control + 16);
}
