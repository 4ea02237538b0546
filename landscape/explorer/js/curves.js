// The curves beside and below the landscape: loss, angles, distance, walk, and more when recorded.

import { Chart, curveOf } from './chart.js';
import { degreesOf, firstStep, lastStep, lines, pathOf, runs, stateAt, stepsOf, surfaces, walkWindows } from './data.js';
import { short, tickText } from './format.js';
import { makePanels } from './panels.js';
import { isVisible, onChange, state, visibleRuns } from './state.js';

/** One curve per visible run from a column of its path. */
const columnCurves = (name) => () => visibleRuns()
  .filter((run) => run.path?.[name]).map((run) => curveOf(run, stepsOf(run.path, name), run.path[name]));

const known = (name) => runs.some((run) => run.path?.[name]?.some(Number.isFinite));

/** Whether a column's positive values span more than a factor of 20: then its axis is logarithmic. */
function manyScales(name) {
  let [low, high] = [Infinity, 0];
  for (const run of runs) {
    for (const v of run.path?.[name] ?? []) {
      if (v > 0 && v < Infinity) [low, high] = [Math.min(low, v), Math.max(high, v)];
    }
  }
  return high > 20 * low;
}

function lossCurves() {
  return visibleRuns().flatMap((run) => {
    const faint = run.path && curveOf(run, stepsOf(run.path, 'losses'), run.path.losses, { faint: Boolean(run.measured) });
    return [faint, run.measured && curveOf(run, run.measured.step, run.measured.loss)].filter(Boolean);
  }).sort((a, b) => Number(Boolean(b.faint)) - Number(Boolean(a.faint)));
}

const IN_DEGREES = { y: [0, 180], yTicks: [0, 90, 180], yText: (v) => `${v}°`, tipText: (v) => `${short(v)}°` };

const stepCurves = () => [
  {
    id: 'loss', title: 'Loss', place: 'side', bare: true, scaled: true, present: () => runs.some((run) => run.measured) || known('losses'), curves: lossCurves,
    note: () => (runs.some((run) => run.measured) ? 'measured on the data; faint: recorded mini-batch' : 'recorded mini-batch'),
  },
  {
    id: 'angle', title: 'Angle between updates', place: 'side', bare: true, ...IN_DEGREES,
    present: () => known('cosine'), curves: columnCurves('angle'), note: () => '90° = unrelated',
  },
  { id: 'distance', title: 'Distance from initialization', place: 'side', present: () => known('distance'), curves: columnCurves('distance'), note: () => '‖θ−θ₀‖' },
  { id: 'lr', title: 'Learning rate', place: 'more', logarithmic: () => manyScales('learning_rate'), present: () => known('learning_rate'), curves: columnCurves('learning_rate'), note: () => '' },
  { id: 'update', title: 'Length of updates', place: 'more', logarithmic: () => manyScales('update_norm'), present: () => known('update_norm'), curves: columnCurves('update_norm'), note: () => '‖θₛ−θₛ₋₁‖' },
  { id: 'gradient', title: 'Length of gradients', place: 'more', logarithmic: () => manyScales('gradient_norm'), present: () => known('gradient_norm'), curves: columnCurves('gradient_norm'), note: () => 'of the mini-batch' },
  {
    id: 'noise', title: 'Angle between gradients', place: 'more', ...IN_DEGREES,
    present: () => known('gradient_cosine'), curves: columnCurves('gradient_angle'), note: () => 'of mini-batches; noise is at 90°',
  },
].filter((panel) => panel.present());

/** With two runs left: the first minus the second at the steps that both have. */
function differences() {
  const [a, b] = visibleRuns();
  const of = (run) => run.measured ?? (run.path && { step: stepsOf(run.path, 'losses'), loss: run.path.losses });
  const [one, other] = [of(a), of(b)];
  if (!one?.loss || !other?.loss) return [];
  const [x, y] = [[], []];
  one.step.forEach((step, i) => {
    const j = stateAt(other.step, step);
    if (j >= 0 && other.step[j] === step) { x.push(step); y.push(one.loss[i] - other.loss[j]); }
  });
  if (!x.length) return [];
  return [{ name: `${a.short} − ${b.short}`, colour: 'var(--ink)', dash: '-', x, y }];
}

/** Of two paths in the plane that is shown: the steps that both have, and where they are then. */
function together() {
  const surface = surfaces[state.surface];
  const [one, other] = visibleRuns().map((run) => pathOf(surface, run));
  if (!one || !other) return { steps: [], places: [] };
  const shared = Array.from(one.step, (step, i) => [step, i, stateAt(other.step, step)]).filter(([step, , j]) => j >= 0 && other.step[j] === step);
  const [a, b, , d] = surface.gram;
  return {
    steps: shared.map(([step]) => step),
    places: shared.map(([, i, j]) => [[one.x[i], one.y[i]], [other.x[j], other.y[j]]]),
    inner: (u, v) => a * u[0] * v[0] + b * (u[0] * v[1] + u[1] * v[0]) + d * u[1] * v[1],
  };
}

const minus = (u, v) => [u[0] - v[0], u[1] - v[1]];

/** With two runs left: how far apart they are in the plane that is shown. */
function gaps() {
  const { steps, places, inner } = together();
  const y = places.map(([p, q]) => Math.sqrt(Math.max(0, inner(minus(p, q), minus(p, q)))));
  return steps.length ? [{ name: 'apart in the plane', colour: 'var(--ink)', dash: '-', x: steps, y }] : [];
}

/** With two runs left: the angle in that plane between what both did since the last step they share. */
function partings() {
  const { steps, places, inner } = together();
  const y = places.slice(1).map(([p, q], k) => {
    const [u, v] = [minus(p, places[k][0]), minus(q, places[k][1])];
    return degreesOf(inner(u, v) / Math.sqrt(inner(u, u) * inner(v, v)));
  });
  return y.length ? [{ name: 'between their updates', colour: 'var(--ink)', dash: '-', x: steps.slice(1), y }] : [];
}

const WALK_BEFORE = 2;
const WALK_AFTER = 3;

/** The loss between consecutive states around a step, relative to the loss at that step. */
function walkCurves(step) {
  return visibleRuns().filter((run) => run.walk).map((run) => {
    const { walk } = run;
    const points = walk.alpha.length;
    const centre = stateAt(walk.step, step);
    const here = centre >= 0 && walk.next[centre] > step ? centre
      : centre >= 0 && walk.next[centre] === step ? centre : -1;
    if (here < 0) return null;
    const base = walk.next[here] === step ? walk.loss[here * points + points - 1] : walk.loss[here * points];
    const [x, y, raw, dots] = [[], [], [], []];
    let [first, last] = [here, here];
    while (first > 0 && walk.next[first - 1] === walk.step[first] && here - first < WALK_BEFORE) first -= 1;
    while (last + 1 < walk.step.length && walk.step[last + 1] === walk.next[last] && last - here < WALK_AFTER - 1) last += 1;
    for (let s = first; s <= last; s += 1) {
      dots.push(x.length);
      for (let i = 0; i < points; i += 1) {
        x.push(walk.step[s] + walk.alpha[i] * (walk.next[s] - walk.step[s]));
        raw.push(walk.loss[s * points + i]);
        y.push(100 * (walk.loss[s * points + i] / base - 1));
      }
    }
    dots.push(x.length - 1);
    return curveOf(run, x, y, { raw, dots, stride: walk.next[here] - walk.step[here] });
  }).filter(Boolean);
}

/** A symmetric round range, so that the axis jumps rarely while playing. */
function roundRange(curves) {
  let largest = 0;
  for (const { y } of curves) for (const v of y) if (Number.isFinite(v)) largest = Math.max(largest, Math.abs(v));
  const limit = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((v) => v >= largest) ?? largest;
  return [-Math.min(limit, 100), limit];
}

export function makeCurves(side, more) {
  const panels = stepCurves();
  const shared = panels.filter((panel) => panel.place === 'side');
  if (shared.length) shared[shared.length - 1].bare = false;
  const windows = walkWindows();
  const charts = panels.map((panel) => ({ panel, chart: new Chart(panel.place === 'side' ? side : more, { ...panel, note: panel.note(), scrub: true, bands: panel.id === 'loss' ? windows : [] }) }));
  const walkChart = windows.length ? new Chart(side, {
    id: 'walk', title: 'Loss between steps', xLabel: 'step', yText: (v) => `${v > 0 ? '+' : ''}${tickText(v)} %`,
  }) : null;
  const pairs = runs.length > 1 ? [
    { curves: differences, chart: new Chart(side, { id: 'difference', title: 'Difference in loss', scrub: true, note: 'first minus second run' }) },
    { curves: gaps, chart: new Chart(side, { id: 'apart', title: 'Distance between the two', scrub: true, note: 'in the plane shown' }) },
    { curves: partings, chart: new Chart(side, { ...IN_DEGREES, id: 'partings', title: 'Angle between their updates', scrub: true, note: 'in the plane shown' }) },
  ] : [];
  const lineCharts = lines.map((line, k) => ({
    line, chart: new Chart(more, { id: `line-${k}`, title: `${line.metric === 'loss' ? 'Loss' : line.metric} along a line`, xLabel: line.label, note: line.kind || line.key }),
  }));
  /** @returns {[number, number]} */
  const limits = () => state.range ?? [firstStep, lastStep];

  function drawAll() {
    const log = state.scale === 'log';
    for (const { panel, chart } of charts) chart.show(panel.curves(), ...limits(), { log: panel.logarithmic?.() || (panel.scaled && log) });
    for (const { curves, chart } of pairs) {
      const found = visibleRuns().length === 2 ? curves() : [];
      chart.panel.hidden = !found.length;
      if (found.length) chart.show(found, ...limits());
    }
    for (const { line, chart } of lineCharts) {
      const points = line.alpha.length;
      chart.show(line.names.flatMap((name, k) => {
        const run = runs[line.runs[k]];
        if (run && !isVisible(run)) return [];
        const y = line.loss.subarray(k * points, (k + 1) * points);
        return [run ? curveOf(run, line.alpha, y) : { name, colour: 'var(--ink)', dash: '-', x: line.alpha, y }];
      }), line.alpha[0], line.alpha[points - 1], { log });
    }
    elsewhere = null;
    if (walkChart) drawWalk();
  }

  /** The walk at the step; beside its windows the nearest one stays, greyed, as it was drawn. */
  let elsewhere = null;
  function drawWalk() {
    const step = Math.floor(state.step);
    let at = step;
    let found = walkCurves(at);
    const inside = found.length > 0;
    if (!inside) {
      const away = (window) => Math.max(window[0] - step, step - window[1], 0);
      const [from, to] = windows.reduce((best, window) => (away(window) < away(best) ? window : best));
      at = step < from ? from : to;
      if (elsewhere === at) { walkChart.cursor(step); return; }
      found = walkCurves(at);
    }
    elsewhere = inside ? null : at;
    walkChart.panel.classList.toggle('elsewhere', !inside);
    walkChart.at = step;
    walkChart.empty = `not measured here, only at steps ${windows.map(([a, b]) => `${a}–${b}`).join(', ')}`;
    walkChart.note.textContent = inside ? `relative to the loss at step ${step}` : `not measured here; nearest: step ${at}`;
    const stride = Math.max(1, ...found.map((curve) => curve.stride));
    walkChart.show(found, at - WALK_BEFORE * stride, at + WALK_AFTER * stride, { y: found.length ? roundRange(found) : null });
  }

  onChange((changed) => {
    if (['hidden', 'scale', 'range', 'marks', 'surface', 'size', 'data'].some((name) => changed.has(name))) drawAll();
    else if (changed.has('step')) {
      for (const { chart } of [...charts, ...pairs]) chart.cursor(state.step);
      if (walkChart) drawWalk();
    }
  });
  drawAll();
  return Object.assign(charts, { walk: walkChart, pairs, more: makePanels(more) });
}
