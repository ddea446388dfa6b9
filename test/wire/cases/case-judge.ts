// Judges what a wire case led to, strictly: the expectation of the case to the letter, and what holds for
// every case: nothing that the proxy sends breaks the grammar, bodies arrive unchanged, no trailer becomes a
// field of a head, nothing follows the last answer, and a good request afterwards gets its own clean answer.
import type { Sighting } from './case-run.ts';
import { targetOf, type UpstreamConnection } from './case-upstream.ts';
import { plainText, readStrictly, type StrictMessage, type StrictRead } from './strict-reader.ts';
import type { WireCase } from './wire-case.ts';

/** What is wrong, one sentence each; empty for a pass. */
export function judgeCase(one: WireCase, seen: Sighting): readonly string[] {
  const { downstream, downstreamHasEnded } = seen;
  const answers = readStrictly({
    text: downstream,
    side: 'response',
    methods: seen.methods,
    hasEnded: downstreamHasEnded,
  });
  const upstream = readUpstream(seen);
  const complaints = [
    ...judgeGrammar(answers, upstream),
    ...(one.side === 'request' ? judgeRequest(one, seen, answers, upstream) : judgeResponse(one, seen, answers)),
    ...judgeStrings(one, seen, answers, upstream),
    ...judgeFollowUp(seen),
  ];
  if (complaints.length === 0) return [];
  const wires = upstream.map(({ text }) => text);
  return [
    ...complaints,
    `client saw ${show(downstream)}${downstreamHasEnded ? ' FIN' : ''}; upstream saw ${wires.map(show).join(' | ')}`,
  ];
}

interface UpstreamRead extends StrictRead {
  readonly connection: UpstreamConnection;
  /** Without the good requests around the case. */
  readonly own: readonly StrictMessage[];
  readonly text: string;
}

function readUpstream(seen: Sighting): readonly UpstreamRead[] {
  return seen.upstream.map((connection) => {
    const strict = connection.isTunnel
      ? firstOnly(connection.text)
      : readStrictly({ text: connection.text, side: 'request' });
    const own = strict.messages.filter((message) => !/^\/(good|follow-up)$/.test(targetOf(message)));
    let text = connection.text;
    for (const line of ['GET /good HTTP/1.1\r\n', 'GET /follow-up HTTP/1.1\r\n']) {
      const start = text.indexOf(line);
      if (start !== -1) text = text.slice(0, start) + text.slice(text.indexOf('\r\n\r\n', start) + 4);
    }
    return { ...strict, connection, own, text };
  });
}

/** What follows an accepted upgrade is no HTTP. */
function firstOnly(text: string): StrictRead {
  const end = text.lastIndexOf('HTTP/1.1\r\n');
  const headEnd = text.indexOf('\r\n\r\n', end);
  return readStrictly({ text: headEnd === -1 ? text : text.slice(0, headEnd + 4), side: 'request' });
}

function judgeGrammar(answers: StrictRead, upstream: readonly UpstreamRead[]): readonly string[] {
  const broken = [answers.error === '' ? '' : `the client got ${answers.error}`];
  for (const { error } of upstream) if (error !== '') broken.push(`the upstream got ${error}`);
  return broken.filter((text) => text !== '');
}

function isFinal({ status }: StrictMessage): boolean {
  return status >= 200 || status === 101;
}

function judgeRequest(
  one: WireCase,
  seen: Sighting,
  answers: StrictRead,
  upstream: readonly UpstreamRead[],
): readonly string[] {
  const { expect } = one;
  const complaints: string[] = [];
  const complete = upstream.flatMap(({ own }) => own.filter(({ isComplete }) => isComplete));
  const wanted = expect.requests ?? (expect.action === 'forward' ? 1 : 0);
  if (complete.length !== wanted) complaints.push(`${complete.length} requests reached the upstream, not ${wanted}`);
  for (const { own, rest, connection } of upstream) {
    const isOpen = (own.some(({ isComplete }) => !isComplete) || rest !== '') && !connection.wire.hasEnded;
    if (isOpen) complaints.push('half a request was left on an open upstream connection');
  }
  const finals = answers.messages.filter(isFinal);
  const [first] = finals;
  if (expect.action === 'forward') {
    if (first === undefined || !first.isComplete) complaints.push('there was no whole answer');
    else if (first.status !== 101 && (first.status < 200 || first.status > 299)) {
      complaints.push(`the answer was ${first.status}`);
    }
    complaints.push(...judgeBodies(one, complete));
    const refusals = (expect.downstreamMustContain ?? []).filter((piece) => /^http\/1\.1 [45]/i.test(piece)).length;
    const extra = finals.length - wanted - refusals;
    if (extra > 0) complaints.push(`${extra} more answers than requests`);
  } else {
    complaints.push(...judgeRefusal(one, finals));
  }
  if ((expect.close === true || expect.action === 'reject') && !seen.downstreamHasEnded) {
    complaints.push("the client's connection stayed open");
  }
  if (expect.close === false && seen.downstreamHasEnded) complaints.push("the client's connection was closed");
  if (answers.rest !== '') complaints.push(`bytes after the answer: ${show(answers.rest)}`);
  return complaints;
}

function judgeRefusal({ expect }: WireCase, finals: readonly StrictMessage[]): readonly string[] {
  const [first] = finals;
  if (first === undefined) return expect.statusOptional === true ? [] : ['there was no answer'];
  const complaints = finals.length > 1 ? ['there was more than one answer'] : [];
  if (!first.isComplete) complaints.push('the refusal was cut');
  return [...complaints, ...judgeStatus(expect, first.status)];
}

function judgeStatus({ status, statusOk = [] }: WireCase['expect'], seen: number): readonly string[] {
  if (status === undefined || seen === status || statusOk.includes(seen)) return [];
  return [`the status was ${seen}, not ${[status, ...statusOk].join(' or ')}`];
}

function judgeResponse(one: WireCase, seen: Sighting, answers: StrictRead): readonly string[] {
  const { expect } = one;
  const complaints: string[] = [];
  const finals = answers.messages.filter(isFinal);
  const [first] = finals;
  if (finals.length > 1) complaints.push('there was more than one answer');
  if (answers.rest !== '' && expect.abort !== true) complaints.push(`bytes after the answer: ${show(answers.rest)}`);
  if (expect.action === 'forward') {
    if (first === undefined || !first.isComplete) complaints.push('there was no whole answer');
    else {
      complaints.push(...judgeStatus({ ...expect, status: expect.status ?? 200 }, first.status));
      if (one.context?.when === undefined) complaints.push(...judgeAnswerBody(one, seen, first));
    }
  } else if (expect.abort === true && (first === undefined || !first.isComplete)) {
    if (!seen.downstreamHasEnded) complaints.push('the cut answer was left open');
  } else if (first === undefined) {
    complaints.push('there was no answer');
  } else {
    complaints.push(...judgeStatus({ ...expect, status: expect.status ?? 502 }, first.status));
  }
  const played = seen.upstream.find(({ isPlayed }) => isPlayed);
  if (played === undefined) return [...complaints, 'the request never reached the upstream'];
  const isReused = played === seen.followUpConnection;
  const mustClose = expect.close ?? (expect.action === 'reject' ? true : undefined);
  if (mustClose === true && isReused) complaints.push('the upstream connection was used again');
  // A tunnel lives as long as its client does.
  if (mustClose === true && !played.wire.hasEnded && !played.isTunnel)
    complaints.push('the upstream connection stayed open');
  if (mustClose === false && !isReused) complaints.push('the upstream connection was not used again');
  return complaints;
}

/** Bodies as the client sent them, where the case is readable by the grammar at all. */
function judgeBodies(one: WireCase, complete: readonly StrictMessage[]): readonly string[] {
  const sent = readStrictly({ text: one.bytes.replace(/^(\r\n)+/, ''), side: 'request' });
  if (sent.error !== '' || sent.messages.length !== complete.length) return [];
  return sent.messages.flatMap((message, index) => compareMessages(message, complete[index]));
}

function judgeAnswerBody(one: WireCase, seen: Sighting, answer: StrictMessage): readonly string[] {
  const text = one.bytes;
  const sent = readStrictly({ text, side: 'response', methods: seen.methods, hasEnded: true });
  const message = sent.messages.find(isFinal);
  return sent.error === '' && message !== undefined ? compareMessages(message, answer) : [];
}

function compareMessages(sent: StrictMessage, got: StrictMessage | undefined): readonly string[] {
  if (got === undefined) return [];
  const complaints: string[] = [];
  if (got.body !== sent.body) complaints.push(`the body became ${show(got.body)}`);
  const inHead = new Set(sent.headers.map(([name]) => name.toLowerCase()));
  for (const [name, value] of sent.trailers) {
    const isMerged = got.headers.some(([other, text]) => other.toLowerCase() === name.toLowerCase() && text === value);
    if (isMerged && !inHead.has(name.toLowerCase())) complaints.push(`the trailer ${name} became a field`);
  }
  return complaints;
}

function judgeStrings(
  { expect }: WireCase,
  seen: Sighting,
  answers: StrictRead,
  upstream: readonly UpstreamRead[],
): readonly string[] {
  const up = upstream
    .map(({ text, own }) => text + own.map(plainText).join(''))
    .join('\r\n')
    .toLowerCase();
  const down = (seen.downstream + answers.messages.map(plainText).join('')).toLowerCase();
  return [
    ...missing(up, expect.upstreamMustContain).map((piece) => `the upstream did not get ${show(piece)}`),
    ...present(up, expect.upstreamMustNotContain).map((piece) => `the upstream got ${show(piece)}`),
    ...missing(down, expect.downstreamMustContain).map((piece) => `the client did not get ${show(piece)}`),
    ...present(down, expect.downstreamMustNotContain).map((piece) => `the client got ${show(piece)}`),
  ];
}

function missing(text: string, wanted: readonly string[] = []): readonly string[] {
  return wanted.filter((piece) => !text.includes(piece.toLowerCase()));
}

function present(text: string, unwanted: readonly string[] = []): readonly string[] {
  return unwanted.filter((piece) => text.includes(piece.toLowerCase()));
}

function judgeFollowUp({ followUp, followUpConnection }: Sighting): readonly string[] {
  const { messages, error, rest } = readStrictly({ text: followUp, side: 'response' });
  const [answer] = messages;
  const isClean =
    messages.length === 1 && error === '' && rest === '' && answer?.status === 200 && answer.body === 'ok';
  if (!isClean) return [`a good request afterwards got ${show(followUp)}`];
  return followUpConnection === null ? ['a good request afterwards did not reach the upstream'] : [];
}

function show(text: string): string {
  const quoted = JSON.stringify(text);
  return quoted.length > 400 ? `${quoted.slice(0, 300)}…${quoted.slice(-80)}` : quoted;
}
