// Axes: where ticks go, and how values become pixels.

/** Round ticks inside [low, high], about `count` of them. */
export function linearTicks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const stepSize = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / stepSize - 1e-9); k * stepSize <= high * (1 + 1e-12) + 1e-12 * stepSize; k += 1) ticks.push(k * stepSize);
  return ticks.length > 1 || count > 8 ? ticks : linearTicks(low, high, count + 1);
}

/** Ticks 1, 2, 5 (or decades only, or every n-th) inside [low, high]; both positive. */
export function logTicks(low, high, count) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const inside = (multiples, stride) => {
    const ticks = [];
    for (let e = Math.ceil(first / stride) * stride; e <= last; e += stride) {
      for (const m of multiples) {
        const tick = m * 10 ** e;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  };
  for (const multiples of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = inside(multiples, 1);
    if (ticks.length <= count + 1 && ticks.length > 1) return ticks;
  }
  const decades = inside([1], Math.max(1, Math.ceil((last - first) / count)));
  return decades.length > 1 ? decades : linearTicks(low, high, count);
}

export const ticksOf = (low, high, count, log) => (log ? logTicks : linearTicks)(low, high, count);

/** Map [low, high] (or its logarithm) to [from, to]. */
export function scaleOf(low, high, from, to, log) {
  const f = log ? Math.log : (v) => v;
  const [a, b] = [f(low), f(high)];
  return (v) => from + ((f(v) - a) / (b - a)) * (to - from);
}

/** Smallest and largest finite (positive, if `log`) value of several arrays, with room; or null. */
export function extentOf(arrays, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of arrays) {
    for (const v of values) {
      if (Number.isFinite(v) && (!log || v > 0)) {
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
  }
  if (low > high) return null;
  if (log) {
    const room = Math.max((high / low) ** 0.05, 1.02);
    return [low / room, high * room];
  }
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/** Indices to draw so that each of `columns` buckets keeps its first, last and extreme values. */
export function thinned(length, columns, ...values) {
  if (length <= columns * 2) return Array.from({ length }, (_, i) => i);
  const keep = new Set([0, length - 1]);
  for (let c = 0; c < columns; c += 1) {
    const [start, end] = [Math.floor((c * length) / columns), Math.floor(((c + 1) * length) / columns)];
    for (const column of values) {
      let [low, high] = [start, start];
      for (let i = start; i < end; i += 1) {
        if (!Number.isFinite(column[i])) keep.add(i);
        if (column[i] < column[low] || !Number.isFinite(column[low])) low = i;
        if (column[i] > column[high] || !Number.isFinite(column[high])) high = i;
      }
      keep.add(low).add(high);
    }
  }
  return [...keep].sort((a, b) => a - b);
}

/** SVG path through points; a point that is not finite breaks the line. */
export function lineThrough(indices, x, y) {
  const parts = [];
  let pen = 'M';
  for (const i of indices) {
    const [px, py] = [x(i), y(i)];
    if (Number.isFinite(px) && Number.isFinite(py)) {
      parts.push(`${pen}${px.toFixed(1)} ${py.toFixed(1)}`);
      pen = 'L';
    } else pen = 'M';
  }
  return parts.join('');
}
