// Lines of equal value through a field: where they run, and where their labels go.

import { linearTicks, logTicks } from './ticks.js';

const MULTIPLES = [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];

/** Round values for isolines, up to `most` of them, strictly inside the drawn range. */
export function isovalues({ low, top, log }, most = 18) {
  const inside = (values) => values.filter((v) => v > low && v < top);
  if (!log) return inside(linearTicks(low, top, Math.round(0.6 * most)));
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(top))];
  for (const multiples of MULTIPLES) {
    const found = [];
    for (let e = first; e <= last && found.length < 200; e += 1) found.push(...multiples.map((m) => Number(`${m}e${e}`)));
    if (inside(found).length <= most && inside(found).length > 2) return inside(found);
  }
  return inside(logTicks(low, top, most));
}

/** Polylines [[x, y], …] where a field has the height `h`, along the edges of its cells. */
export function isoline({ x, y, z, width, tall }, h) {
  const segments = new Map(); // edge → edges it is joined to
  const points = new Map();
  const crossing = (edge, k, l) => {
    if (!points.has(edge)) {
      const t = (h - z[k]) / (z[l] - z[k]);
      const [i, j, m, n] = [k % width, Math.floor(k / width), l % width, Math.floor(l / width)];
      points.set(edge, [x[i] + t * (x[m] - x[i]), y[j] + t * (y[n] - y[j])]);
    }
    return edge;
  };
  const join = (a, b) => {
    for (const [p, q] of [[a, b], [b, a]]) segments.set(p, [...(segments.get(p) ?? []), q]);
  };
  for (let j = 0; j < tall - 1; j += 1) {
    for (let i = 0; i < width - 1; i += 1) {
      const k = j * width + i;
      const corners = [k, k + 1, k + width + 1, k + width];
      const up = corners.map((c) => z[c] > h);
      if (corners.some((c) => Number.isNaN(z[c])) || up.every((u) => u === up[0])) continue;
      // Edges: below, right, above, left; each is named by its first corner and its direction.
      const names = [2 * k, 2 * (k + 1) + 1, 2 * (k + width), 2 * k + 1];
      const ends = [[k, k + 1], [k + 1, k + width + 1], [k + width, k + width + 1], [k, k + width]];
      const cut = [0, 1, 2, 3].filter((e) => up[e] !== up[(e + 1) % 4]).map((e) => crossing(names[e], ...ends[e]));
      if (cut.length === 2) join(cut[0], cut[1]);
      else { // a saddle: the value in the middle says which corners are joined
        const middle = corners.reduce((sum, c) => sum + z[c], 0) / 4 > h;
        if (middle === up[0]) { join(cut[0], cut[1]); join(cut[2], cut[3]); } else { join(cut[0], cut[3]); join(cut[1], cut[2]); }
      }
    }
  }
  return chains(segments).map((chain) => chain.map((edge) => points.get(edge)));
}

/** Chains of joined edges; a closed one ends where it began. */
function chains(segments) {
  const found = [];
  const follow = (start) => {
    const chain = [start];
    for (let at = start; ;) {
      const next = segments.get(at).find((edge) => segments.get(edge).includes(at));
      if (next === undefined) return chain;
      segments.set(at, segments.get(at).filter((edge) => edge !== next));
      segments.set(next, segments.get(next).filter((edge) => edge !== at));
      chain.push(next);
      at = next;
    }
  };
  for (const closed of [false, true]) {
    for (const edge of segments.keys()) {
      const joined = segments.get(edge).length;
      if (closed ? joined > 0 : joined === 1) found.push(follow(edge));
    }
  }
  return found;
}

/** Places for a label on polylines in drawn units: [{x, y, along: [dx, dy]}], apart by `apart`. */
export function labelPlaces(polylines, scaleX, scaleY, apart) {
  const places = [];
  for (const line of polylines) {
    let length = 0;
    const reach = [0];
    for (let k = 1; k < line.length; k += 1) {
      length += Math.hypot((line[k][0] - line[k - 1][0]) * scaleX, (line[k][1] - line[k - 1][1]) * scaleY);
      reach.push(length);
    }
    if (length < apart / 3) continue;
    const count = Math.max(1, Math.min(3, Math.round(length / (2.2 * apart))));
    for (let n = 0; n < count; n += 1) {
      const wanted = (length * (n + 0.5)) / count;
      const k = Math.max(1, Math.min(line.length - 2, reach.findIndex((r) => r >= wanted)));
      const [a, b] = [line[Math.max(0, k - 2)], line[Math.min(line.length - 1, k + 2)]];
      places.push({ x: line[k][0], y: line[k][1], along: [b[0] - a[0], b[1] - a[1]] });
    }
  }
  return places;
}
