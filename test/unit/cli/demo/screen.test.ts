// What a person sees around the table: hints that point at real lines of the real rules, refusals, and the
// screen itself; and the edits of the story, which must change what they mean to change.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { error, warning } from '../../../../src/base/problem.ts';
import { RULES_DIRECTORY } from '../../../../src/cli/demo/bookshop.ts';
import { currentHints, lineOf } from '../../../../src/cli/demo/hint.ts';
import { linesOf } from '../../../../src/cli/demo/refused-rules.ts';
import { setCanaryWeights } from '../../../../src/cli/demo/rules-copy.ts';
import { clip, openScreen } from '../../../../src/cli/demo/screen.ts';

const REVIEWS = join(RULES_DIRECTORY, 'reviews.yaml');

describe('hints', () => {
  it('each name a line of the bookshop that says what the hint is about', () => {
    const hints = currentHints({
      rulesDirectory: RULES_DIRECTORY,
      from: RULES_DIRECTORY,
      door: 'http://d',
      outbound: 'http://o',
    });
    const lines = hints.map(({ place }) => {
      const [file = '', line = '0'] = place.split(':');
      return readFileSync(join(RULES_DIRECTORY, file), 'utf8').split('\n')[Number(line) - 1]?.trim();
    });
    expect(lines).toEqual(['weight: 90', 'subset: v3', 'timeout: 0.4s', 'weight: 90', 'uri: /books/']);
    expect(hints.filter(({ text }) => /DOOR|OUTBOUND/.test(text))).toEqual([]);
  });

  it('are left out when their line is gone', () => {
    expect(lineOf(REVIEWS, 'no such anchor', 'weight:')).toBe(0);
    expect(lineOf(join(RULES_DIRECTORY, 'missing.yaml'), 'a', 'b')).toBe(0);
  });
});

describe('the edit of the weights', () => {
  it('touches the canary rule and nothing else', () => {
    const before = readFileSync(REVIEWS, 'utf8');
    const after = setCanaryWeights(before, 50, 'ninety');
    const changed = after.split('\n').filter((line, i) => line !== before.split('\n')[i]);
    expect(changed.map((line) => line.trim())).toEqual(['weight: 50', 'weight: ninety']);
  });
});

describe('refused rules', () => {
  it('are the errors of the control service with their places, and nothing else', () => {
    const place = { file: 'rules/reviews.yaml', line: 61, column: 19 };
    const problems: unknown = JSON.parse(
      JSON.stringify([
        error('spec.http[1].weight', 'must be a number, not "ninety"', 'write 90', place),
        warning('spec', 'is doubtful'),
        error('', 'no place'),
      ]),
    );
    expect(linesOf(problems)).toEqual([
      'rules/reviews.yaml:61:19: spec.http[1].weight: must be a number, not "ninety"; write 90',
      'no place',
    ]);
    expect(linesOf({ error: 'no list' })).toEqual([]);
  });
});

describe('a screen', () => {
  it('cuts lines by what is visible, colour codes kept', () => {
    expect(clip('\u001b[1mabc\u001b[0mdef', 4)).toBe('\u001b[1mabc\u001b[0md');
  });

  it('draws over the frame before on a terminal, no more lines than it has', () => {
    const terminal = aTerminal(10, 4);
    const screen = openScreen(terminal.stream, { TERM: 'xterm', NO_COLOR: '1' });
    screen.frame(['one', 'two', 'three', 'four']);
    screen.frame(['a line that is too long']);
    screen.close();
    expect(screen.paint('red', 'plain')).toBe('plain');
    expect(terminal.written.map(visibleEscapes)).toEqual([
      '<?25l>',
      'one<K>\ntwo<K>\nthree<K>\n<J>',
      '<3A>\ra line tha<K>\n<J>',
      '<?25h>',
    ]);
  });

  it('prints plain lines one after the other elsewhere', () => {
    const terminal = aTerminal(0, 0);
    const screen = openScreen(terminal.stream, { TERM: 'dumb' });
    screen.frame(['one']);
    screen.frame(['two', 'three']);
    screen.close();
    expect(terminal.written).toEqual(['one\n', 'two\nthree\n']);
  });
});

function aTerminal(columns: number, rows: number): { readonly stream: Writable; readonly written: string[] } {
  const written: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY: true, columns, rows }), written };
}

function visibleEscapes(text: string): string {
  return text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[([?0-9]*[A-Za-z])`, 'g'), '<$1>');
}
