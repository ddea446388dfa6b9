// @hot
// The connections that are open, each with a note, as a Map would hold them: members know their place, so that
// leaving costs one move. A Map or Set of things that come and go is rebuilt again and again, and V8 links each table to
// the next one: a table that got old keeps all tables after it, with who was in them, until a full collection.

export interface RosterMember {
  /** Where it stands in its roster; -1 in none. Written by the roster only. */
  place: number;
}

export class Roster<Member extends RosterMember, Note> {
  readonly #members: Member[] = [];
  readonly #notes: Note[] = [];

  get size(): number {
    return this.#members.length;
  }

  /** `member` must be in no roster. */
  add(member: Member, note: Note): void {
    member.place = this.#members.length;
    this.#members.push(member);
    this.#notes.push(note);
  }

  /** False when it was not there. */
  delete(member: Member): boolean {
    const { place } = member;
    if (place === -1) return false;
    member.place = -1;
    const last = this.#members.pop();
    const note = this.#notes.pop();
    if (last !== undefined && note !== undefined && last !== member) {
      last.place = place;
      this.#members[place] = last;
      this.#notes[place] = note;
    }
    return true;
  }

  /** Those that are there now; they may leave meanwhile. */
  members(): readonly Member[] {
    return this.#members.slice();
  }

  /** What was noted of a member that is there. */
  noteOf(member: Member): Note | undefined {
    return this.#notes[member.place];
  }
}
