// Where the demo draws. On a terminal a frame replaces the one before in place; anywhere else (a pipe, a log
// file) frames would only repeat themselves, so lines are printed as they come. Honours NO_COLOR.
import type { WriteStream } from 'node:tty';
import { ansiPaint, plainPaint, type Paint } from './table.ts';

export interface Screen {
  readonly isLive: boolean;
  readonly paint: Paint;
  /** Shows `lines` instead of the frame before (a terminal), or after all before (anything else). */
  frame(lines: readonly string[]): void;
  /** Ends drawing in place and leaves the cursor below the last frame. */
  close(): void;
}

export function openScreen(stream: WriteStream | NodeJS.WritableStream, environment: NodeJS.ProcessEnv): Screen {
  const isLive = 'isTTY' in stream && stream.isTTY && environment['TERM'] !== 'dumb';
  const hasColor = isLive && (environment['NO_COLOR'] ?? '') === '';
  const paint = hasColor ? ansiPaint : plainPaint;
  if (!isLive) {
    return { isLive, paint, frame: (lines) => void stream.write(`${lines.join('\n')}\n`), close: () => {} };
  }
  const columns = (): number => ('columns' in stream ? stream.columns : 80);
  // A frame taller than the terminal could not be drawn over: its end is left out.
  const rows = (): number => ('rows' in stream && stream.rows > 2 ? stream.rows - 1 : 23);
  let height = 0;
  stream.write('\u001b[?25l');
  return {
    isLive,
    paint,
    frame(lines) {
      const shown = lines.slice(0, rows());
      const cut = shown.map((line) => `${clip(line, columns())}\u001b[K`);
      const up = height === 0 ? '' : `\u001b[${height}A\r`;
      stream.write(`${up}${cut.join('\n')}\n\u001b[J`);
      height = shown.length;
    },
    close() {
      stream.write('\u001b[?25h');
    },
  };
}

const ESCAPE = '\u001b';
const COLOR_CODE = new RegExp(`(${ESCAPE}\\[[0-9;]*m)`);

/** The first `columns` visible characters of a line; colour codes take no room and are kept. */
export function clip(line: string, columns: number): string {
  let visible = 0;
  let clipped = '';
  for (const part of line.split(COLOR_CODE)) {
    if (part.startsWith(ESCAPE)) {
      clipped += part;
      continue;
    }
    const kept = part.slice(0, Math.max(0, columns - visible));
    visible += kept.length;
    clipped += kept;
  }
  return clipped;
}
