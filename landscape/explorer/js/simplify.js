// Fewer points that make the same line (Ramer 1972; Douglas & Peucker 1973).

/** Squared distance of point `i` from the segment between points `a` and `b`, over all columns. */
function away(columns, i, a, b) {
  let [along, whole] = [0, 0];
  for (const column of columns) {
    const way = column[b] - column[a];
    along += (column[i] - column[a]) * way;
    whole += way * way;
  }
  const t = whole > 0 ? Math.max(0, Math.min(1, along / whole)) : 0;
  let sum = 0;
  for (const column of columns) sum += (column[i] - column[a] - t * (column[b] - column[a])) ** 2;
  return sum;
}

/**
 * Indices of the points of a line to keep so that none of the others is farther than `tolerance`
 * from it. A point that is not finite is kept, with those beside it: it is a gap.
 * @param {ArrayLike<number>[]} columns the coordinates of all points, one list per dimension
 * @param {number} tolerance
 */
export function simplified(columns, tolerance) {
  const { length } = columns[0];
  const keep = new Uint8Array(length);
  const good = (i) => columns.every((column) => Number.isFinite(column[i]));
  const pieces = [];
  for (let i = 0, from = -1; i <= length; i += 1) {
    if (i < length && good(i)) { if (from < 0) from = i; continue; }
    if (from >= 0) pieces.push([from, i - 1]);
    from = -1;
    if (i < length) keep[i] = 1;
  }
  for (const [first, last] of pieces) [keep[first], keep[last]] = [1, 1];
  while (pieces.length) {
    const [a, b] = pieces.pop();
    let [most, at] = [tolerance * tolerance, -1];
    for (let i = a + 1; i < b; i += 1) {
      const distance = away(columns, i, a, b);
      if (distance > most) [most, at] = [distance, i];
    }
    if (at < 0) continue;
    keep[at] = 1;
    pieces.push([a, at], [at, b]);
  }
  return Array.from(keep.keys()).filter((i) => keep[i]);
}
