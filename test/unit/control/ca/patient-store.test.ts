// Who asks for the files of an authority while their place is away waits for it, and is told of what is wrong at once.
import { expect, test } from 'vitest';
import type { AuthorityStore } from '../../../../src/control/ca/authority-files.ts';
import { PatientStore, StoreAway } from '../../../../src/control/ca/patient-store.ts';

/** A place that fails so often before it answers. */
function placeThatFails(times: number, fault: () => Error): AuthorityStore & { readonly asked: () => number } {
  let asked = 0;
  const answer = async <T>(value: T): Promise<T> => {
    asked += 1;
    if (asked <= times) throw fault();
    return await Promise.resolve(value);
  };
  return {
    place: 'here',
    read: async () => await answer(new Map([['a', 'b']])),
    update: async () => await answer(undefined),
    add: async (_, text) => await answer(text),
    put: async () => await answer(undefined),
    watch: () => () => {},
    asked: () => asked,
  };
}

function patient(store: AuthorityStore): { store: PatientStore; told: string[]; ending: AbortController } {
  const told: string[] = [];
  const ending = new AbortController();
  return {
    told,
    ending,
    store: new PatientStore(store, { onWaiting: (why) => told.push(why), ending: ending.signal }),
  };
}

const away = (): Error => new StoreAway('nobody answers');

test('it waits until the place answers, and says why once', async () => {
  const place = placeThatFails(2, away);
  const { store, told } = patient(place);
  expect(await store.read()).toEqual(new Map([['a', 'b']]));
  expect([place.asked(), told]).toEqual([3, ['nobody answers', '']]);
});

test.each([
  ['what is wrong is no matter of time', () => new Error('no such key'), false],
  ['it has been told to wait no more', away, true],
])('it does not wait where %s', async (_, fault, isOver) => {
  const place = placeThatFails(1, fault);
  const { store, told } = patient(place);
  if (isOver) store.end();
  await expect(store.add('name', 'text')).rejects.toThrow(fault().message);
  expect([place.asked(), told]).toEqual([1, []]);
});

test('who waits is refused when everything ends', async () => {
  const { store, ending } = patient(placeThatFails(Infinity, away));
  const reading = store.read();
  setTimeout(() => ending.abort(), 20);
  await expect(reading).rejects.toThrow('nobody answers');
});
