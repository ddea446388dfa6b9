// The table of the demo as lines of text: pure, so that a test can read what a person sees. Colours are
// the caller's choice (a Paint), because files, pipes and NO_COLOR want none.
import type { Row } from './traffic.ts';

export type Color = 'dim' | 'bold' | 'green' | 'red' | 'cyan' | 'yellow';
export type Paint = (color: Color, text: string) => string;

const CODES: Readonly<Record<Color, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

export const plainPaint: Paint = (_color, text) => text;
export const ansiPaint: Paint = (color, text) => `\u001b[${CODES[color]}m${text}\u001b[0m`;

const BAR_CELLS = 20;
const HEADINGS = `${'from'.padEnd(10)} ${'to'.padEnd(10)} ${'version'.padEnd(8)} ${'rate'.padStart(8)}  ${'share'.padStart(6)} ${''.padEnd(BAR_CELLS)}  ${'p50'.padStart(9)} ${'p99'.padStart(9)}  status`;

export function drawTable(rows: readonly Row[], paint: Paint): string[] {
  const lines = [paint('dim', HEADINGS)];
  let previous = '';
  for (const row of rows) {
    const call = `${row.from.padEnd(10)} ${row.to.padEnd(10)}`;
    lines.push(drawRow(row, call === previous ? ''.padEnd(call.length) : call, paint));
    previous = call;
  }
  if (rows.length === 0) lines.push(paint('dim', 'no requests yet'));
  return lines;
}

function drawRow(row: Row, call: string, paint: Paint): string {
  const version = (row.version === '' ? '-' : row.version).padEnd(8);
  const rate = `${row.rate.toFixed(row.rate < 10 ? 1 : 0)}/s`.padStart(8);
  const share = `${(row.share * 100).toFixed(0)} %`.padStart(6);
  const filled = Math.round(row.share * BAR_CELLS);
  const bar = paint('cyan', '█'.repeat(filled)) + paint('dim', '░'.repeat(BAR_CELLS - filled));
  const times = `${formatMs(row.p50Ms)} ${formatMs(row.p99Ms)}`;
  const statuses = row.statuses.map(([code, count]) => drawStatus(code, count, row.statuses.length === 1, paint));
  return `${call} ${version} ${rate}  ${share} ${bar}  ${times}  ${statuses.join(' ')}`;
}

function drawStatus(code: string, count: number, isOnly: boolean, paint: Paint): string {
  const text = isOnly ? code : `${code}×${Math.round(count)}`;
  return paint(code.startsWith('2') || code.startsWith('3') ? 'green' : 'red', text);
}

function formatMs(milliseconds: number): string {
  if (Number.isNaN(milliseconds)) return '-'.padStart(9);
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`.padStart(9);
}
