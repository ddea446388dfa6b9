// A roster against a Map, through the same seeded coming and going.
import { expect, test } from 'vitest';
import { Roster, type RosterMember } from '../../../src/sidecar/roster.ts';

class Guest implements RosterMember {
  place = -1;
  readonly name: number;

  constructor(name: number) {
    this.name = name;
  }
}

test('it holds what a Map holds, through any order of coming and going', () => {
  const roster = new Roster<Guest, string>();
  const map = new Map<Guest, string>();
  let seed = 7;
  const next = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let i = 0; i < 2000; i++) {
    const present = [...map.keys()];
    if (present.length < 3 || next(2) === 0) {
      const guest = new Guest(i);
      roster.add(guest, `note ${i}`);
      map.set(guest, `note ${i}`);
    } else {
      const leaving = present[next(present.length)];
      if (leaving === undefined) continue;
      expect([roster.delete(leaving), roster.delete(leaving)]).toEqual([map.delete(leaving), false]);
    }
    expect(roster.size).toBe(map.size);
  }
  const told = roster.members().map((guest) => [guest.name, roster.noteOf(guest)] as const);
  expect(new Map(told)).toEqual(new Map([...map].map(([{ name }, note]) => [name, note])));
});

test('a member may leave while all are visited', () => {
  const roster = new Roster<Guest, null>();
  for (let i = 0; i < 5; i++) roster.add(new Guest(i), null);
  for (const guest of roster.members()) roster.delete(guest);
  expect(roster.size).toBe(0);
});
