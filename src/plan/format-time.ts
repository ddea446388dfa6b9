// START_TIME: a strftime format with Envoy's additions (`%3f` and its like for fractions, `%s` for
// seconds since the epoch). Everything but the fraction is the same for a whole second, so the text of
// the current second is kept and only the fraction is written per request.
import { error, type Problem } from '../base/problem.ts';

export const ISO_TIME = '%Y-%m-%dT%H:%M:%S.%3fZ';

/** Formats milliseconds since the epoch. */
export type TimeFormat = (wallMs: number) => string;

/** A number is that many digits of the fraction of a second. */
type Part = ((date: Date) => string) | number;

/** Null after reporting why the format is refused. `zone` decides whose midnight it is. */
export function compileTime(
  format: string,
  zone: 'utc' | 'local',
  problems: Problem[],
  path: string,
): TimeFormat | null {
  const parts = parse(format, zone);
  if (typeof parts === 'string') {
    problems.push(error(path, parts, 'use the conversions of strftime, and %1f to %9f for fractions'));
    return null;
  }
  let second = Number.NaN;
  let texts: (string | number)[] = [];
  return (wallMs) => {
    const now = Math.floor(wallMs / 1000);
    if (now !== second) {
      second = now;
      texts = textsOf(parts, new Date(now * 1000));
    }
    return write(texts, wallMs - now * 1000);
  };
}

function textsOf(parts: readonly Part[], date: Date): (string | number)[] {
  const texts: (string | number)[] = [];
  for (const part of parts) {
    const text = typeof part === 'number' ? part : part(date);
    const last = texts.at(-1);
    if (typeof text === 'string' && typeof last === 'string') texts[texts.length - 1] = last + text;
    else texts.push(text);
  }
  return texts;
}

function write(texts: readonly (string | number)[], restMs: number): string {
  let out = '';
  for (let i = 0; i < texts.length; i++) {
    const text = texts[i];
    if (typeof text === 'number') out += fraction(restMs, text);
    else if (text !== undefined) out += text;
  }
  return out;
}

function fraction(restMs: number, digits: number): string {
  const nanos = Math.floor(restMs * 1e6);
  return pad(Math.floor(nanos / 10 ** (9 - digits)), digits, '0');
}

function pad(value: number, width: number, filler: string): string {
  let text = String(value);
  while (text.length < width) text = filler + text;
  return text;
}

function parse(format: string, zone: 'utc' | 'local'): readonly Part[] | string {
  const parts: Part[] = [];
  for (let i = 0; i < format.length; i++) {
    if (format.charAt(i) !== '%') {
      const literal = format.charAt(i);
      parts.push(() => literal);
      continue;
    }
    const special = /^%(?:([1-9])?f|E([0-9]|\*)S|E([zTYy]))/.exec(format.slice(i));
    if (special !== null) {
      parts.push(...specialParts(special, zone));
      i += special[0].length - 1;
      continue;
    }
    const conversion = format.charAt(++i);
    const convert = conversionOf(conversion, zone);
    if (convert === null) return `'%${conversion}' is not a conversion of strftime`;
    parts.push(convert);
  }
  return parts;
}

/** `%f`, `%3f`, and the extended conversions `%E3S` and `%Ez`. */
function specialParts(special: RegExpExecArray, zone: 'utc' | 'local'): readonly Part[] {
  const [text, digits, seconds, extended] = special;
  if (extended !== undefined) {
    if (extended === 'T') return [() => 'T'];
    return [conversionOf(extended === 'z' ? ':z' : extended, zone) ?? ((): string => text)];
  }
  if (seconds === undefined) return [digits === undefined ? 9 : Number(digits)];
  const whole = conversionOf('S', zone) ?? ((): string => text);
  const count = seconds === '*' ? 3 : Number(seconds);
  return count === 0 ? [whole] : [whole, (): string => '.', count];
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const DAY_MS = 86_400_000;

/** Conversions that stand for several others. */
const COMPOSED = new Map([
  ['c', '%a %b %e %H:%M:%S %Y'],
  ['D', '%m/%d/%y'],
  ['F', '%Y-%m-%d'],
  ['R', '%H:%M'],
  ['r', '%I:%M:%S %p'],
  ['T', '%H:%M:%S'],
  ['x', '%m/%d/%y'],
  ['X', '%H:%M:%S'],
]);

const SIMPLE = new Map<string, (calendar: Date) => string>([
  ['a', (date) => (DAYS[date.getUTCDay()] ?? '').slice(0, 3)],
  ['A', (date) => DAYS[date.getUTCDay()] ?? ''],
  ['b', (date) => (MONTHS[date.getUTCMonth()] ?? '').slice(0, 3)],
  ['B', (date) => MONTHS[date.getUTCMonth()] ?? ''],
  ['C', (date) => pad(Math.floor(date.getUTCFullYear() / 100), 2, '0')],
  ['d', (date) => pad(date.getUTCDate(), 2, '0')],
  ['e', (date) => pad(date.getUTCDate(), 2, ' ')],
  ['g', (date) => pad(weekOf(date).year % 100, 2, '0')],
  ['G', (date) => String(weekOf(date).year)],
  ['h', (date) => (MONTHS[date.getUTCMonth()] ?? '').slice(0, 3)],
  ['H', (date) => pad(date.getUTCHours(), 2, '0')],
  ['I', (date) => pad(date.getUTCHours() % 12 === 0 ? 12 : date.getUTCHours() % 12, 2, '0')],
  ['j', (date) => pad(dayOfYear(date) + 1, 3, '0')],
  ['k', (date) => pad(date.getUTCHours(), 2, ' ')],
  ['l', (date) => pad(date.getUTCHours() % 12 === 0 ? 12 : date.getUTCHours() % 12, 2, ' ')],
  ['m', (date) => pad(date.getUTCMonth() + 1, 2, '0')],
  ['M', (date) => pad(date.getUTCMinutes(), 2, '0')],
  ['n', () => '\n'],
  ['p', (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM')],
  ['P', (date) => (date.getUTCHours() < 12 ? 'am' : 'pm')],
  ['S', (date) => pad(date.getUTCSeconds(), 2, '0')],
  ['t', () => '\t'],
  ['u', (date) => String(date.getUTCDay() === 0 ? 7 : date.getUTCDay())],
  ['U', (date) => pad(Math.floor((dayOfYear(date) + 7 - date.getUTCDay()) / 7), 2, '0')],
  ['V', (date) => pad(weekOf(date).week, 2, '0')],
  ['w', (date) => String(date.getUTCDay())],
  ['W', (date) => pad(Math.floor((dayOfYear(date) + 7 - ((date.getUTCDay() + 6) % 7)) / 7), 2, '0')],
  ['y', (date) => pad(date.getUTCFullYear() % 100, 2, '0')],
  ['Y', (date) => String(date.getUTCFullYear())],
  ['%', () => '%'],
]);

function conversionOf(conversion: string, zone: 'utc' | 'local'): ((date: Date) => string) | null {
  if (conversion === 's') return (date) => String(Math.floor(date.getTime() / 1000));
  if (conversion === 'z') return (date) => offsetOf(date, zone, '');
  if (conversion === ':z') return (date) => offsetOf(date, zone, ':');
  if (conversion === 'Z') return (date) => (zone === 'utc' ? 'UTC' : zoneName(date));
  const composed = COMPOSED.get(conversion);
  if (composed !== undefined) {
    const parts = parse(composed, zone);
    return typeof parts === 'string' ? null : (date) => textsOf(parts, date).join('');
  }
  const simple = SIMPLE.get(conversion);
  if (simple === undefined) return null;
  if (zone === 'utc') return simple;
  return (date) => simple(new Date(date.getTime() - date.getTimezoneOffset() * 60_000));
}

function offsetOf(date: Date, zone: 'utc' | 'local', separator: string): string {
  const minutes = zone === 'utc' ? 0 : -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60), 2, '0')}${separator}${pad(size % 60, 2, '0')}`;
}

function zoneName(date: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date);
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? 'UTC';
}

function dayOfYear(date: Date): number {
  const midnight = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate());
  return Math.round((midnight - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS);
}

/** ISO 8601: a week belongs to the year that its Thursday is in. */
function weekOf(date: Date): { readonly year: number; readonly week: number } {
  const thursday = new Date(date.getTime() + (4 - (date.getUTCDay() === 0 ? 7 : date.getUTCDay())) * DAY_MS);
  return { year: thursday.getUTCFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}
