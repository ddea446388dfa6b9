// Tells, at most once a second, that a listener cannot accept: the kernel has no descriptor or memory left.
import { getSystemErrorName } from 'node:util';
import type { Engine } from './engine.ts';

const PAUSE_MS = 1000;

export class AcceptComplaint {
  #lastMs = Number.NEGATIVE_INFINITY;

  tell({ clock, log }: Engine, listener: string, code: number): void {
    const nowMs = clock.now();
    if (nowMs - this.#lastMs < PAUSE_MS) return;
    this.#lastMs = nowMs;
    log.error('connections cannot be accepted', { listener, error: getSystemErrorName(code) });
  }
}
