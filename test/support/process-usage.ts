// What the kernel says that a process has used: CPU time of all its threads and of its descendants,
// and resident memory. Source: proc(5), /proc/PID/stat and /proc/PID/status.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

export interface ProcessUsage {
  /** User and system time since the start, in seconds. */
  readonly cpuSeconds: number;
  /** VmRSS now, in bytes. */
  readonly residentBytes: number;
  /** VmHWM: the most it ever was, in bytes. */
  readonly residentPeakBytes: number;
}

export function usageOf(pid: number): ProcessUsage {
  let [cpuSeconds, residentBytes, residentPeakBytes] = [0, 0, 0];
  for (const member of familyOf(pid)) {
    const stat = readFileSync(`/proc/${member}/stat`, 'latin1');
    // The second field is the name in parentheses and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    cpuSeconds += (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    const status = readFileSync(`/proc/${member}/status`, 'latin1');
    residentBytes += kibibytes(status, 'VmRSS');
    residentPeakBytes += kibibytes(status, 'VmHWM');
  }
  return { cpuSeconds, residentBytes, residentPeakBytes };
}

/** The process and its descendants. */
function familyOf(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  const below = children === '' ? [] : children.split(' ').flatMap((child) => familyOf(Number(child)));
  return [pid, ...below];
}

function kibibytes(status: string, field: string): number {
  const [, value = '0'] = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status) ?? [];
  return Number(value) * 1024;
}
