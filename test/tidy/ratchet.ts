// What the tidy rules find today and what therefore may stand for now, by rule. A number only ever goes down;
// a new line needs the reason why the code is better this way, or what must happen first.
import type { Notch } from './finding.ts';

export const RATCHET: Readonly<Record<string, readonly Notch[]>> = {};
