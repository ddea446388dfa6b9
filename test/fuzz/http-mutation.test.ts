// Mutated wire cases through the real data plane. There is no expectation for each, so the oracle compares:
// the same bytes in one write and in random cuts must lead to the same, both wires must hold sound grammar,
// as many requests reach the upstream as were answered from it, never more than an independent reader finds
// in the input, with the same bodies, and the data plane must end every exchange.
import { expect, test } from 'vitest';
import { CaseUpstream, DEFAULT_SCRIPT } from '../wire/cases/case-upstream.ts';
import { CaseWire, turn } from '../wire/cases/case-wire.ts';
import { allCases } from '../wire/cases/all-cases.ts';
import { readStrictly, type StrictMessage } from '../wire/cases/strict-reader.ts';
import { cutRandomly, randomFrom } from '../wire/cases/wire-case.ts';
import { startDataPlane } from '../wire/data-plane.ts';
import { FUZZ_MS, FUZZ_TIMEOUT_MS, fuzzSeed } from './fuzz-budget.ts';
import { mutate } from './mutation.ts';

const BYTES_MAX = 3000;
const PATIENCE_MS = 5000;
const GET = 'GET /case HTTP/1.1\r\nHost: a.test\r\n\r\n';

interface Seen {
  readonly complaints: readonly string[];
  /** What must not depend on the delivery. */
  readonly outcome: unknown;
}

function corpus(side: 'request' | 'response'): readonly string[] {
  const own = allCases().filter((one) => one.side === side && one.bytes.length < BYTES_MAX && one.bytes !== '');
  // Those of one byte in one position differ too little to weigh so much.
  return own.filter(({ name }, index) => !name.includes('-byte-') || index % 10 === 0).map(({ bytes }) => bytes);
}

const isFinal = ({ status }: StrictMessage): boolean => status >= 200 || status === 101;

/** Sends `pieces` and FIN; every request that gets through is answered with 200. */
async function sendRequest(
  bytes: string,
  pieces: readonly string[],
  port: number,
  upstream: CaseUpstream,
): Promise<Seen> {
  upstream.begin(DEFAULT_SCRIPT);
  const client = await CaseWire.connect(port);
  await client.write(pieces, 'fin');
  const hasEnded = await client.until(() => client.hasEnded, PATIENCE_MS);
  await turn();
  const complaints = hasEnded ? [] : ['the connection was left open'];
  const reads = upstream.connections.map(({ text }) => readStrictly({ text, side: 'request' }));
  const requests = reads.flatMap(({ messages }) => messages.filter(({ isComplete }) => isComplete));
  const methods = requests.map(({ method }) => method);
  const answers = readStrictly({ text: client.text, side: 'response', methods, hasEnded: true });
  for (const { error } of [...reads, answers]) if (error !== '') complaints.push(error);
  const finals = answers.messages.filter(isFinal);
  // What refuses a request whose method could be read as HEAD has no body.
  const isCut = finals.some(({ isComplete, status }) => !isComplete && (status < 400 || !bytes.includes('HEAD')));
  if (answers.rest !== '' || isCut) complaints.push('an answer was cut');
  const good = finals.filter(({ status }) => status === 200).length;
  if (good !== requests.length) complaints.push(`${requests.length} requests were answered ${good} times`);
  const input = readStrictly({ text: bytes.replace(/^(\r\n)+/, ''), side: 'request', isLenient: true });
  const readable = input.messages.filter(({ isComplete }) => isComplete);
  if (input.error === '' && requests.length > readable.length)
    complaints.push(`${requests.length} of ${readable.length} requests`);
  for (const [index, request] of requests.entries()) {
    if (input.error === '' && request.body !== readable[index]?.body) complaints.push('a body was changed');
  }
  client.destroy();
  const lines = requests.map(({ startLine, body }) => startLine + body);
  return { complaints, outcome: { lines, statuses: finals.map(({ status }) => status) } };
}

/** Answers a GET with `pieces` and FIN. */
async function sendResponse(_: string, pieces: readonly string[], port: number, upstream: CaseUpstream): Promise<Seen> {
  upstream.begin({ pieces, eof: 'fin', isEager: true });
  const client = await CaseWire.connect(port);
  await client.write([GET]);
  const read = (): readonly StrictMessage[] =>
    readStrictly({ text: client.text, side: 'response', hasEnded: client.hasEnded }).messages.filter(isFinal);
  const isOver = await client.until(() => client.hasEnded || read().some(({ isComplete }) => isComplete), PATIENCE_MS);
  await turn();
  const complaints = isOver ? [] : ['the exchange did not end'];
  const answers = readStrictly({ text: client.text, side: 'response', hasEnded: client.hasEnded });
  if (answers.error !== '') complaints.push(answers.error);
  const finals = answers.messages.filter(isFinal);
  if (finals.length > 1) complaints.push('there was more than one answer');
  const [answer] = finals;
  client.destroy();
  const isWhole = answer?.isComplete === true;
  return { complaints, outcome: isWhole ? { status: answer.status, body: answer.body } : 'cut' };
}

test.each([
  ['request', sendRequest],
  ['response', sendResponse],
] as const)(
  'a mutated %s leads to the same in whatever pieces, and to sound grammar on both sides',
  async (side, send) => {
    const seed = fuzzSeed();
    const random = randomFrom(seed);
    const originals = corpus(side);
    const upstream = await CaseUpstream.start();
    const plane = await startDataPlane(upstream.port);
    const until = performance.now() + FUZZ_MS;
    let runs = 0;
    for (; performance.now() < until; runs++) {
      const bytes = mutate(originals[Math.floor(random() * originals.length)] ?? '', originals, random);
      if (bytes === '') continue;
      const whole = await send(bytes, [bytes], plane.port, upstream);
      const cut = await send(bytes, cutRandomly(bytes, runs), plane.port, upstream);
      const told = `OUTRIGGER_FUZZ_SEED=${seed}, run ${runs}: ${JSON.stringify(bytes)}`;
      expect([whole.complaints, cut.complaints], told).toEqual([[], []]);
      expect(cut.outcome, told).toEqual(whole.outcome);
    }
    plane.close();
    upstream.close();
    expect(runs).toBeGreaterThan(FUZZ_MS / 200);
  },
  FUZZ_TIMEOUT_MS,
);
