// The curves beside and below the landscape: loss, angles, distance, walk, and more when recorded.

const curveOf = (run, x, y, more = {}) => ({ run, name: run.name, colour: `var(--run-${run.index})`, dash: run.dash, x, y, ...more });

/** One curve per visible run from a column of its path. */
const columnCurves = (name) => () => visibleRuns()
  .filter((run) => run.path).map((run) => curveOf(run, run.path.step, run.path[name]));

const known = (name) => runs.some((run) => run.path && run.path[name].some(Number.isFinite));

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
    const faint = run.path && curveOf(run, run.path.step, run.path.losses, { faint: true, alone: !run.measured });
    return [faint, run.measured && curveOf(run, run.measured.step, run.measured.loss)].filter(Boolean);
  }).sort((a, b) => Number(Boolean(b.faint)) - Number(Boolean(a.faint)));
}

const stepCurves = [
  {
    id: 'loss', title: 'Loss', place: 'side', bare: true, scaled: true, present: () => runs.some((run) => run.measured) || known('losses'), curves: lossCurves,
    note: () => (runs.some((run) => run.measured) ? 'measured on the data; faint: recorded mini-batch' : 'recorded mini-batch'),
  },
  {
    id: 'angle', title: 'Angle between updates', place: 'side', bare: true, y: [0, 180], yTicks: [0, 90, 180], yText: (v) => `${v}°`, tipText: (v) => `${short(v)}°`,
    present: () => known('cosine'), curves: columnCurves('angle'), note: () => '90° = unrelated',
  },
  { id: 'distance', title: 'Distance from initialization', place: 'side', present: () => known('distance'), curves: columnCurves('distance'), note: () => '‖θ−θ₀‖' },
  { id: 'lr', title: 'Learning rate', place: 'more', logarithmic: manyScales('learning_rate'), present: () => known('learning_rate'), curves: columnCurves('learning_rate'), note: () => '' },
  { id: 'update', title: 'Length of updates', place: 'more', logarithmic: manyScales('update_norm'), present: () => known('update_norm'), curves: columnCurves('update_norm'), note: () => '‖θₛ−θₛ₋₁‖' },
].filter((panel) => panel.present());

const shared = stepCurves.filter((panel) => panel.place === 'side');
if (shared.length) shared[shared.length - 1].bare = false;

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

/** Windows of steps on which some run's walk was measured, as text. */
function walkWindows() {
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

/** A symmetric round range, so that the axis jumps rarely while playing. */
function roundRange(curves) {
  let largest = 0;
  for (const { y } of curves) for (const v of y) if (Number.isFinite(v)) largest = Math.max(largest, Math.abs(v));
  const limit = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((v) => v >= largest) ?? largest;
  return [-Math.min(limit, 100), limit];
}

function makeCurves(side, more) {
  const charts = stepCurves.map((panel) => ({ panel, chart: new Chart(panel.place === 'side' ? side : more, { ...panel, note: panel.note(), scrub: true }) }));
  const walkChart = runs.some((run) => run.walk) && new Chart(side, {
    id: 'walk', title: 'Loss between steps', xLabel: 'step', yText: (v) => `${v > 0 ? '+' : ''}${tickText(v)} %`,
  });
  const windows = walkChart ? walkWindows() : [];
  const lineCharts = lines.map((line, k) => ({
    line, chart: new Chart(more, { id: `line-${k}`, title: `${line.metric === 'loss' ? 'Loss' : line.metric} along a line`, xLabel: line.label, note: line.kind || line.key }),
  }));

  function drawAll() {
    const log = state.scale === 'log';
    for (const { panel, chart } of charts) chart.show(panel.curves(), firstStep, lastStep, { log: panel.logarithmic || (panel.scaled && log) });
    for (const { line, chart } of lineCharts) {
      const points = line.alpha.length;
      chart.show(line.names.flatMap((name, k) => {
        const run = runs[line.runs[k]];
        if (run && !isVisible(run)) return [];
        const y = line.loss.subarray(k * points, (k + 1) * points);
        return [run ? curveOf(run, line.alpha, y) : { name, colour: 'var(--ink)', dash: '-', x: line.alpha, y }];
      }), line.alpha[0], line.alpha[points - 1], { log });
    }
    if (walkChart) drawWalk();
  }

  function drawWalk() {
    const step = Math.floor(state.step);
    const found = walkCurves(step);
    walkChart.at = step;
    walkChart.empty = `not measured here, only at steps ${windows.map(([a, b]) => `${a}–${b}`).join(', ')}`;
    walkChart.note.textContent = `relative to the loss at step ${step}`;
    const stride = Math.max(1, ...found.map((curve) => curve.stride));
    walkChart.show(found, step - WALK_BEFORE * stride, step + WALK_AFTER * stride, { y: found.length ? roundRange(found) : null });
  }

  onChange((changed) => {
    if (['hidden', 'scale'].some((name) => changed.has(name))) drawAll();
    else if (changed.has('step')) {
      for (const { chart } of charts) chart.cursor(state.step);
      if (walkChart) drawWalk();
    }
  });
  drawAll();
  charts.walk = walkChart;
  return charts;
}
