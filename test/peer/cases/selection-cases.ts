// Which endpoints may be picked, where that is certain; shares are compared in selection.test.ts.
import type { CaseTable, PeerCase } from '../peer-case.ts';

const at = (name: string, target: string, is: string, rest: Partial<PeerCase> = {}): PeerCase => ({
  name,
  send: `GET ${target}`,
  is,
  ...rest,
});

export const SELECTION_CASES: CaseTable = {
  selection: [
    at('the first priority while it is whole', '/whole', '200 a'),
    at('the next priority when the first is down', '/down', '200 c'),
    at('weighted health counts weights', '/heavy', '200 a'),
    at('the healthy one without panic', '/calm', '200 a'),
    at('nobody in a panic that fails traffic', '/silent', '503'),
    at('all traffic dropped', '/dropped', '503'),
    at('the next cluster of an aggregate', '/fallback', '200 c'),
    at('an aggregate of nothing', '/hopeless', '503'),
    at('a subset of two keys', '/subset/vs', '200 c'),
    at('no such subset', '/subset/none', '503'),
    at('no metadata at all', '/subset/nothing', '503'),
    at('the default subset', '/subset/default', '200 c'),
    at('an element of a list', '/subset/element', '200 d'),
    at('a list of variants', '/subset/list', '200 a'),
    at('metadata of a split over that of its route', '/subset/split', '200 c'),
    at('a strict session with an endpoint that is not there', '/strict', '503', {
      headers: ['x-stay: MTI3LjAuMC4xOjE='],
    }),
  ],
};
