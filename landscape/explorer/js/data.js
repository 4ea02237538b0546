// The page's content: columns become typed arrays once; states are found by bisection.

export let content = {};
export let runs = [];
export let surfaces = [];
export let lines = [];
export let barriers = [];
export let panels = {};
export let firstStep = Infinity;
export let lastStep = -Infinity;
export let hasSteps = false;

const KINDS = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };

/**
 * The content that a text packs (packing.py), and the columns that do not lie in it.
 * @param {string} text @returns {Promise<[any, Uint8Array]>}
 */
export async function unpackedText(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const plain = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  const length = new DataView(plain).getUint32(0, true);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(plain, 4, length))), new Uint8Array(plain, 4 + length)];
}

/** Take over what a page shows; `bytes` holds the columns that do not lie in `given` itself. */
export function load(given, bytes = new Uint8Array()) {
  const column = (packed) => (packed?.dtype ? unpacked(packed, bytes) : packed);
  const columns = (table) => table && Object.fromEntries(Object.entries(table).map(([name, value]) => [name, column(value)]));
  content = given;
  runs = given.runs.map((run, index) => ({ ...run, index, path: withAngles(columns(run.path)), walk: columns(run.walk), layers: columns(run.layers), measured: null }));
  surfaces = given.surfaces.map((surface, index) => ({
    ...columns(surface), index,
    values: surface.values.map(column), error: surface.error.map(column), within: surface.within.map(column), paths: surface.paths.map(columns),
  }));
  for (const surface of surfaces) {
    for (const path of surface.paths) {
      if (path.loss && !runs[path.run].measured) runs[path.run].measured = path;
    }
  }
  lines = given.lines.map(columns);
  barriers = (given.barriers ?? []).map(columns);
  panels = Object.fromEntries(Object.entries(given.panels ?? {}).map(([name, parts]) => [name, parts.map(columns)]));
  measureSpan();
}

/** Between which steps anything is known. */
function measureSpan() {
  const recorded = [
    ...runs.flatMap((run) => [run.path?.step, run.walk?.step, run.walk?.next, run.layers?.step]),
    ...surfaces.flatMap((surface) => surface.paths.map((path) => path.step)),
    ...[...(panels.sharpness ?? []), ...(panels.gradients ?? [])].map((part) => part.step),
  ].filter((steps) => steps?.length);
  firstStep = Math.min(...recorded.map((steps) => steps[0]), Infinity);
  lastStep = Math.max(...recorded.map((steps) => steps[steps.length - 1]), -Infinity);
  hasSteps = lastStep > firstStep;
}

/** Numbers of a column: base64 in place, or at `at` among `bytes`, first bytes of all numbers first. */
function unpacked({ dtype, data, at, shape }, bytes) {
  const Kind = KINDS[dtype];
  if (data !== undefined) return new Kind(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
  const length = shape.reduce((a, b) => a * b, 1);
  const size = Kind.BYTES_PER_ELEMENT;
  const out = new Uint8Array(length * size);
  for (let b = 0; b < size; b += 1) {
    for (let i = 0, from = at + b * length; i < length; i += 1) out[i * size + b] = bytes[from + i];
  }
  return new Kind(out.buffer);
}

/** The angle of a cosine, in degrees. */
export const degreesOf = (c) => (Math.acos(Math.max(-1, Math.min(1, c))) * 180) / Math.PI;

function withAngles(path) {
  if (path) path.angle = path.cosine.map(degreesOf);
  if (path?.gradient_cosine) path.gradient_angle = path.gradient_cosine.map(degreesOf);
  if (path?.steps) path.steps.angle = path.steps.cosine;
  return path;
}

const GROWING = ['losses', 'cosine', 'distance', 'update_norm', 'learning_rate'];

/** The path of a run that is watched, before its first step: every column has steps of its own. */
export const growingPath = () => ({
  step: new Int32Array(), span: 1, steps: Object.fromEntries(GROWING.map((name) => [name, new Int32Array()])),
  ...Object.fromEntries(GROWING.map((name) => [name, new Float32Array()])),
});

/** Put what is new behind the first `from` numbers of each column; with `anew` the others are gone. */
export function extendPath(path, { anew, columns, first, last, span }) {
  if (anew) Object.assign(path, growingPath(), { exact: null });
  for (const [name, { from, step, value }] of Object.entries(columns)) {
    path.steps[name] = joined(path.steps[name].subarray(0, from), numbersOf(step));
    path[name] = joined(path[name].subarray(0, from), numbersOf(value));
  }
  Object.assign(path, { step: Int32Array.from(last > first ? [first, last] : []), span, from: {} });
  withAngles(path);
  measureSpan();
}

/** Numbers that came by themselves. */
export const numbersOf = (packed) => unpacked(packed, null);

function joined(one, two) {
  const both = new one.constructor(one.length + two.length);
  both.set(one);
  both.set(two, one.length);
  return both;
}

/** The steps of a column of a run. */
export const stepsOf = (columns, name) => columns.steps?.[name] ?? columns.step;

/** Every step at which a run has a number. */
export const allSteps = (columns) => (columns.steps ? Object.values(columns.steps).flatMap((steps) => [...steps]) : [...columns.step]);

/** Index of the last state at or before `step`; -1 before the first. */
export function stateAt(steps, step) {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Index of the element of an increasing array that is nearest to `value`. */
export function nearest(values, value) {
  const index = stateAt(values, value);
  if (index < 0) return 0;
  return index + 1 < values.length && values[index + 1] - value < value - values[index] ? index + 1 : index;
}

/** Value of a column at the last state at or before `step`; undefined where there is none yet. */
export function valueAt(columns, name, step) {
  if (columns?.exact?.step === step) return columns.exact[name];
  const steps = columns?.[name] ? stepsOf(columns, name) : [];
  const index = stateAt(steps, step);
  if (index < 0 || (columns.span > 1 && steps[index] < step && index + 1 < steps.length)) return undefined; // not kept
  columns.from ??= {};
  columns.from[name] ??= columns[name].findIndex(Number.isFinite);
  return columns.from[name] >= 0 && index >= columns.from[name] ? columns[name][index] : undefined;
}

/** The path of a run on a surface, or undefined. */
export const pathOf = (surface, run) => surface?.paths.find((path) => path.run === run.index);

/** Whether a run has gone on for more than one interval of its measured states since the last of them. */
function isOutgrown({ step: steps }, step) {
  const last = steps.length - 1;
  return step > steps[last] + (last > 0 ? steps[last] - steps[last - 1] : 0);
}

/** The loss of a run at a step: measured on the data as far as it was, else the recorded mini-batch's. */
export function lossAt(run, step) {
  if (run.measured && !(run.path?.losses && isOutgrown(run.measured, step))) return valueAt(run.measured, 'loss', step);
  return valueAt(run.path, 'losses', step);
}

/** Last step at which a run has any state; the page's for a run of which panels alone know. */
export function endOf(run) {
  const ends = [run.path?.step, run.measured?.step, run.walk?.next, run.layers?.step].filter((s) => s?.length).map((s) => s[s.length - 1]);
  return ends.length ? Math.max(...ends) : lastStep;
}

/** Windows of steps on which some run's walk was measured: [[from, to], …]. */
export function walkWindows() {
  const windows = [];
  for (const { walk } of runs) {
    for (let s = 0; walk && s < walk.step.length; s += 1) {
      const open = windows.find(([from, to]) => walk.step[s] >= from && walk.step[s] <= to);
      if (open) open[1] = Math.max(open[1], walk.next[s]);
      else windows.push([walk.step[s], walk.next[s]]);
    }
  }
  return windows;
}

/** What names of all runs begin with, up to the last separator; '' unless it is worth leaving out. */
export function commonPrefix(names) {
  if (names.length < 2) return '';
  let length = 0;
  while (length < names[0].length && names.every((name) => name[length] === names[0][length])) length += 1;
  const cut = names[0].slice(0, length).search(/[^/_\-.=, ]*$/);
  return cut > 5 ? names[0].slice(0, cut) : '';
}
