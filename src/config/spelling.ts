// "Did you mean": the nearest of the names that would have been right.

/** The candidate within two edits (one for names of up to four letters) of `name`, or null. Case does not count. */
export function nearest(name: string, candidates: Iterable<string>): string | null {
  const wanted = name.toLowerCase();
  let best: string | null = null;
  let bestDistance = wanted.length <= 4 ? 2 : 3;
  for (const candidate of candidates) {
    // A beginning in common makes up for one more edit: `retry` means `retries`.
    const isAkin = wanted.length > 4 && candidate.toLowerCase().startsWith(wanted.slice(0, 4));
    const distance = editDistance(wanted, candidate.toLowerCase()) - (isAkin ? 1 : 0);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Optimal string alignment distance: a swap of neighbours counts as one edit. */
function editDistance(left: string, right: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const cost = left[row - 1] === right[column - 1] ? 0 : 1;
      let value = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + cost,
      );
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1])
        value = Math.min(value, (beforePrevious[column - 2] ?? 0) + 1);
      current.push(value);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[right.length] ?? 0;
}
