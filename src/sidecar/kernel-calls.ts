// System calls that Node has no word for, by way of koffi and the C library of the process. Loading
// koffi takes some 10 ms and 8 MB, so it happens when the first listener or hand-over asks for it, once
// per process. Linux only. Everything here is per connection at most: a call costs a microsecond.
// A file descriptor that is passed in stays the caller's.

export interface KernelCalls {
  /** getsockopt(2): the number of bytes written into `value`, or the negated errno. */
  readonly getSocketOption: (fd: number, level: number, option: number, value: Buffer) => number;
  /** setsockopt(2) with an int: 0, or the negated errno. */
  readonly setSocketOption: (fd: number, level: number, option: number, value: number) => number;
  /** dup(2) that a child does not inherit: the new descriptor, or the negated errno. */
  readonly duplicateFd: (fd: number) => number;
}

/** Levels and options of Linux that are the same on every architecture (include/uapi/linux). */
export const SOL_IP = 0;
export const SOL_IPV6 = 41;

const F_DUPFD_CLOEXEC = 1030;

let loading: Promise<KernelCalls> | null = null;

/** Rejects where the platform is not Linux or has no build of koffi. */
export function loadKernelCalls(): Promise<KernelCalls> {
  loading ??= load();
  return loading;
}

async function load(): Promise<KernelCalls> {
  if (process.platform !== 'linux') throw new Error(`only Linux has these system calls, this is ${process.platform}`);
  const { default: koffi } = await import('koffi');
  const library = koffi.load(null);
  const get = library.func('int getsockopt(int, int, int, _Out_ uint8_t *value, _Inout_ uint32_t *length)');
  const set = library.func('int setsockopt(int, int, int, const int *value, uint32_t length)');
  // The third argument is variadic in C; an int is passed the same way on every platform of ours.
  const control = library.func('int fcntl(int, int, int)');
  const length = [0];
  const failed = (): number => -koffi.errno();
  return Object.freeze({
    getSocketOption(fd: number, level: number, option: number, value: Buffer): number {
      length[0] = value.length;
      return get(fd, level, option, value, length) === 0 ? (length[0] ?? 0) : failed();
    },
    setSocketOption(fd: number, level: number, option: number, value: number): number {
      return set(fd, level, option, [value], 4) === 0 ? 0 : failed();
    },
    duplicateFd(fd: number): number {
      const duplicate: number = control(fd, F_DUPFD_CLOEXEC, 0);
      return duplicate >= 0 ? duplicate : failed();
    },
  });
}
