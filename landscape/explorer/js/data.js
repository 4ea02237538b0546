// The page's content: packed columns become typed arrays once; states are found by bisection.

const content = JSON.parse(document.getElementById('content').textContent);

function unpacked(packed) {
  if (!packed) return null;
  const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
  const Kind = { f4: Float32Array, i4: Int32Array, u1: Uint8Array }[packed.dtype];
  return new Kind(bytes.buffer);
}

const unpackedColumns = (columns) => columns && Object.fromEntries(
  Object.entries(columns).map(([name, value]) => [name, value?.dtype ? unpacked(value) : value]));

const runs = content.runs.map((run, index) => {
  const path = unpackedColumns(run.path);
  if (path) path.angle = path.cosine.map((c) => (Math.acos(Math.max(-1, Math.min(1, c))) * 180) / Math.PI);
  return { ...run, index, path, walk: unpackedColumns(run.walk), measured: null };
});

const surfaces = content.surfaces.map((surface, index) => ({
  ...surface,
  index,
  alpha: unpacked(surface.alpha),
  beta: unpacked(surface.beta),
  values: surface.values.map(unpacked),
  error: surface.error.map(unpacked),
  computed: unpacked(surface.computed),
  within: surface.within.map(unpacked),
  measured: unpacked(surface.measured),
  gram: unpacked(surface.gram),
  explained: unpacked(surface.explained),
  null: unpacked(surface.null),
  paths: surface.paths.map((path) => unpackedColumns(path)),
}));

for (const surface of surfaces) {
  for (const path of surface.paths) {
    const run = runs[path.run];
    if (path.loss && !run.measured) run.measured = path;
  }
}

const lines = content.lines.map((line) => ({
  ...line, alpha: unpacked(line.alpha), loss: unpacked(line.loss),
}));

const recorded = [
  ...runs.flatMap((run) => [run.path?.step, run.walk?.step, run.walk?.next]),
  ...surfaces.flatMap((surface) => surface.paths.map((path) => path.step)),
].filter((steps) => steps?.length);
const firstStep = Math.min(...recorded.map((steps) => steps[0]), Infinity);
const lastStep = Math.max(...recorded.map((steps) => steps[steps.length - 1]), -Infinity);
const hasSteps = lastStep > firstStep;

/** Index of the last state at or before `step`; -1 before the first. */
function stateAt(steps, step) {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Value of a column at the last state at or before `step`; undefined where there is none yet. */
function valueAt(columns, name, step) {
  const index = columns?.[name] ? stateAt(columns.step, step) : -1;
  if (index < 0) return undefined;
  columns.from ??= {};
  columns.from[name] ??= columns[name].findIndex(Number.isFinite);
  return columns.from[name] >= 0 && index >= columns.from[name] ? columns[name][index] : undefined;
}

/** The path of a run on a surface, or undefined. */
const pathOf = (surface, run) => surface?.paths.find((path) => path.run === run.index);

/** The loss of a run at a step: measured on the data when known, else the recorded mini-batch's. */
function lossAt(run, step) {
  return run.measured ? valueAt(run.measured, 'loss', step) : valueAt(run.path, 'losses', step);
}

/** A surface's value between its points, bilinear; NaN outside or beside a hole. */
function heightAt(surface, values, x, y) {
  const { alpha, beta } = surface;
  const place = (axis, v) => {
    const t = ((v - axis[0]) / (axis[axis.length - 1] - axis[0])) * (axis.length - 1);
    return Math.min(axis.length - 2, Math.max(0, Math.floor(t)));
  };
  if (!(x >= alpha[0] && x <= alpha[alpha.length - 1] && y >= beta[0] && y <= beta[beta.length - 1])) return NaN;
  const i = place(alpha, x);
  const j = place(beta, y);
  const u = (x - alpha[i]) / (alpha[i + 1] - alpha[i]);
  const v = (y - beta[j]) / (beta[j + 1] - beta[j]);
  const at = (jj, ii) => values[jj * alpha.length + ii];
  return (1 - v) * ((1 - u) * at(j, i) + u * at(j, i + 1)) + v * ((1 - u) * at(j + 1, i) + u * at(j + 1, i + 1));
}

/** The step at which the runs' losses differ most (in orders of magnitude). */
function stepOfGreatestDifference() {
  if (!hasSteps) return 0;
  const walked = runs.map((run) => run.walk).filter(Boolean);
  const tried = Math.min(400, lastStep - firstStep);
  let best = { step: lastStep, spread: -1 };
  for (let k = 0; k <= tried; k += 1) {
    const step = Math.round(firstStep + ((lastStep - firstStep) * k) / tried);
    const seen = !walked.length || walked.some((walk) => {
      const index = stateAt(walk.step, step);
      return index >= 0 && walk.next[index] > step;
    });
    const logs = runs.map((run) => Math.log(lossAt(run, step) ?? NaN)).filter(Number.isFinite);
    const mean = logs.reduce((a, b) => a + b, 0) / logs.length;
    const spread = logs.reduce((a, b) => a + (b - mean) ** 2, 0) / logs.length;
    if (seen && logs.length > 1 && spread > best.spread) best = { step, spread };
  }
  return best.step;
}
