// A surface as it is drawn: bounds, clip, logarithm, and heights between the measured points.

import { stateAt } from './data.js';

const MOST_NODES = 36_000;

/** Finite computed values in increasing order, sorted once per metric. */
function sortedValues(surface, metric) {
  surface.sorted ??= [];
  return (surface.sorted[metric] ??= surface.values[metric].filter((v, k) => surface.computed[k] && Number.isFinite(v)).sort());
}

/** Share of points drawn below the clip when nobody chose one: all, unless a few explode. */
function clipOf(sorted) {
  const high = sorted[sorted.length - 1];
  return high > 20 * Math.abs(sorted[Math.floor(0.9 * (sorted.length - 1))]) ? 0.9 : 1;
}

/** What is drawn of one metric of a surface. */
export function terrainOf(surface, metric, scale, clip) {
  const values = surface.values[metric];
  const sorted = sortedValues(surface, metric);
  const [least, high] = [sorted[0], sorted[sorted.length - 1]];
  const positive = sorted.find((v) => v > 0);
  const log = scale === 'log' && positive < high;
  const low = log ? positive : least;
  const share = clip ?? clipOf(sorted);
  const top = Math.max(sorted[Math.round(share * (sorted.length - 1))], sorted.find((v) => v > low) ?? low);
  const broken = surface.computed.reduce((a, b) => a + b, 0) - sorted.length;
  const clamp = (v) => Math.min(top, Math.max(low, v));
  const raw = log ? Math.log10 : (v) => v;
  const span = raw(top) - raw(low) || 1;
  const height = (v) => (raw(clamp(v)) - raw(low)) / span; // 0 … 1
  const below = log ? sorted.findIndex((v) => v > 0) : 0;
  const terrain = { surface, metric, values, low, top, high, least, below, share, log, broken, clamp, height, empty: !sorted.length };
  terrain.field = refined(terrain);
  terrain.heightOver = (x, y) => heightAt(terrain.field, x, y);
  return terrain;
}

/** Heights on a finer grid: through every measured point, without new extremes along rows or columns. */
function refined({ surface, values, height }) {
  const { alpha, beta, computed } = surface;
  const [nx, ny] = [alpha.length, beta.length];
  let fine = 4;
  while (fine > 1 && ((nx - 1) * fine + 1) * ((ny - 1) * fine + 1) > MOST_NODES) fine -= 1;
  const coarse = Float64Array.from(values, (v, k) => (computed[k] && Number.isFinite(v) ? height(v) : NaN));
  const [width, tall] = [(nx - 1) * fine + 1, (ny - 1) * fine + 1];
  const rows = new Float64Array(width * ny);
  for (let j = 0; j < ny; j += 1) curveThrough(coarse, j * nx, 1, alpha, rows, j * width, 1, fine);
  const z = new Float64Array(width * tall);
  for (let i = 0; i < width; i += 1) curveThrough(rows, i, width, beta, z, i, width, fine);
  return { x: finer(alpha, fine), y: finer(beta, fine), z, width, tall, fine };
}

const finer = (axis, fine) => Float64Array.from({ length: (axis.length - 1) * fine + 1 }, (_, k) => {
  const i = Math.min(axis.length - 2, Math.floor(k / fine));
  return k % fine ? axis[i] + ((axis[i + 1] - axis[i]) * (k - i * fine)) / fine : axis[k / fine];
});

/** Monotone cubic interpolation (Fritsch & Carlson 1980) of one row or column; NaN beside a hole. */
function curveThrough(from, at, stride, axis, to, toAt, toStride, fine) {
  const n = axis.length;
  const value = (i) => from[at + i * stride];
  const secant = (i) => (i < 0 || i > n - 2 ? NaN : (value(i + 1) - value(i)) / (axis[i + 1] - axis[i]));
  const tangent = (i) => {
    const [a, b] = [secant(i - 1), secant(i)];
    if (!Number.isFinite(a)) return Number.isFinite(b) ? b : 0;
    if (!Number.isFinite(b)) return a;
    return a * b <= 0 ? 0 : (2 * a * b) / (a + b); // harmonic mean: no overshoot
  };
  let next = tangent(0);
  for (let i = 0; i < n - 1; i += 1) {
    const [p, q, step, before] = [value(i), value(i + 1), axis[i + 1] - axis[i], next];
    next = tangent(i + 1);
    to[toAt + i * fine * toStride] = p;
    for (let k = 1; k < fine; k += 1) {
      const t = k / fine;
      const [t2, t3] = [t * t, t * t * t];
      to[toAt + (i * fine + k) * toStride] = (2 * t3 - 3 * t2 + 1) * p + (t3 - 2 * t2 + t) * step * before + (3 * t2 - 2 * t3) * q + (t3 - t2) * step * next;
    }
  }
  to[toAt + (n - 1) * fine * toStride] = value(n - 1);
}

/** Height between the nodes, as drawn; NaN outside and beside a hole. */
export function heightAt({ x: xs, y: ys, z, width }, x, y) {
  const [i, j] = [cellOf(xs, x), cellOf(ys, y)];
  if (i < 0 || j < 0) return NaN;
  const u = (x - xs[i]) / (xs[i + 1] - xs[i]);
  const v = (y - ys[j]) / (ys[j + 1] - ys[j]);
  const k = j * width + i;
  // The cell's two triangles, as the renderer draws them.
  return u + v <= 1
    ? z[k] + u * (z[k + 1] - z[k]) + v * (z[k + width] - z[k])
    : z[k + width + 1] + (1 - u) * (z[k + width] - z[k + width + 1]) + (1 - v) * (z[k + 1] - z[k + width + 1]);
}

function cellOf(axis, v) {
  if (!(v >= axis[0] && v <= axis[axis.length - 1])) return -1;
  return Math.min(axis.length - 2, stateAt(axis, v));
}
