// The card of pinned points: stored values, distances to the runs, and the slice between two pins.

import { pathOf, stateAt, surfaces } from './data.js';
import { el, svg } from './dom.js';
import { short, tickText } from './format.js';
import { slopeOf } from './slope.js';
import { setState, state, visibleRuns } from './state.js';
import { extentOf, lineThrough, scaleOf, ticksOf } from './ticks.js';
import { groundTip, tipRow } from './tip.js';

/** The pins on the surface of a land: [{k, at: [x, y], height}]. */
export function pinsOn({ surface: { alpha, beta }, terrain }) {
  return state.pins.filter((k) => k < alpha.length * beta.length).map((k) => {
    const at = [alpha[k % alpha.length], beta[Math.floor(k / alpha.length)]];
    const height = terrain.heightOver(...at);
    return { k, at, height: Number.isNaN(height) ? 0 : height };
  });
}

/** Distance in all parameters from a point of a plane to the state of a run at a step, or NaN. */
export function distanceTo(surface, run, [x, y], step) {
  const path = pathOf(surface, run);
  const i = path ? stateAt(path.step, step) : -1;
  if (i < 0) return NaN;
  const [dx, dy, g] = [x - path.x[i], y - path.y[i], surface.gram];
  return Math.sqrt(Math.max(0, g[0] * dx * dx + 2 * g[1] * dx * dy + g[3] * dy * dy) + path.residual[i] ** 2);
}

/** The value as drawn at shares 0 … 1 of the way between two pins; stored values at its ends. */
export function sliceOf(land, count = 101) {
  const [a, b] = land.pins();
  const { terrain } = land;
  const { low, top, log } = terrain;
  const raw = log ? Math.log10 : (v) => v;
  const value = (h) => { const v = raw(low) + h * (raw(top) - raw(low)); return log ? 10 ** v : v; };
  const shares = Float64Array.from({ length: count }, (_, k) => k / (count - 1));
  const values = shares.map((t) => value(terrain.heightOver(...[0, 1].map((n) => a.at[n] + t * (b.at[n] - a.at[n])))));
  [values[0], values[count - 1]] = [terrain.values[a.k], terrain.values[b.k]];
  return { shares, values };
}

function sliceChart(land) {
  const { shares, values } = sliceOf(land);
  const { log } = land.terrain;
  const [width, height] = [260, 110];
  const range = extentOf([values], log);
  if (!range) return el('p', { class: 'note' }, 'nothing finite on this slice');
  const x = scaleOf(0, 1, 40, width - 10, false);
  const y = scaleOf(range[0], range[1], height - 18, 6, log);
  const box = svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'slice', role: 'img', 'aria-label': `slice from A, ${short(values[0])}, to B, ${short(values[values.length - 1])}` });
  for (const v of ticksOf(range[0], range[1], 3, log)) box.append(svg('line', { class: 'rule', x1: 40, x2: width - 10, y1: y(v), y2: y(v) }), svg('text', { x: 36, y: y(v) + 3.5, 'text-anchor': 'end' }, tickText(v)));
  box.append(svg('path', { class: 'curve', d: lineThrough([...shares.keys()], (i) => x(shares[i]), (i) => y(values[i])) }),
    svg('text', { x: x(0), y: height - 4, 'text-anchor': 'middle' }, 'A'), svg('text', { x: x(1), y: height - 4, 'text-anchor': 'middle' }, 'B'));
  return box;
}

/** How steep and curved the grid is at a pin, in lengths of the parameter space. */
function slopeRows({ surface, values }, place) {
  const found = slopeOf(surface, values, place);
  return found ? [tipRow('slope of the grid', short(found.slope)), tipRow('curvatures of the grid', found.curvatures.map((v) => short(v)).join(', '))] : [];
}

/** Fill the card of a land. */
export function showPins(card, land) {
  const pins = land.surface ? land.pins() : [];
  card.hidden = !pins.length;
  if (card.hidden) return;
  const { surface } = land;
  const across = surface.alpha.length;
  const step = Math.floor(state.step);
  const place = (k) => ({ i: k % across, j: Math.floor(k / across) });
  const parts = pins.map(({ k, at }, n) => el('section', {}, el('h2', {}, `Point ${'AB'[n]}`), ...groundTip(land.terrain, place(k)),
    ...(pins.length === 1 ? slopeRows(land.terrain, place(k)) : []),
    ...(visibleRuns().some((run) => pathOf(surface, run)) && pins.length === 1 ? [el('h3', {}, `distance in all parameters, step ${step}`), ...visibleRuns().filter((run) => pathOf(surface, run)).slice(0, 8).map((run) => el('div', { class: 'row' },
      el('i', { style: `background:var(--run-${run.index})` }), el('span', {}, run.short), el('span', { class: 'number' }, short(distanceTo(surface, run, at, step)))))] : [])));
  const slice = pins.length === 2 ? [el('h2', {}, 'Slice from A to B'), sliceChart(land), el('p', { class: 'note' }, 'interpolated between measured points; the ends are stored values')] : [el('p', { class: 'note' }, 'pin another point for a slice')];
  card.replaceChildren(el('button', { type: 'button', class: 'quiet close', 'aria-label': 'remove the pins', onclick: () => setState({ pins: [] }) }, '✕'), ...parts, ...slice);
}

/** A surface of one surface's values minus another's; text when their points do not match. */
export function differenceOf(a, b) {
  const same = (p, q) => p.length === q.length && p.every((v, k) => v === q[k]);
  if (!same(a.alpha, b.alpha) || !same(a.beta, b.beta)) return 'A difference needs two surfaces measured at the same points; these have other points.';
  const shared = a.metrics.filter((name) => b.metrics.includes(name));
  if (!shared.length) return 'A difference needs a metric that both surfaces have.';
  const of = (surface, name, list) => surface[list][surface.metrics.indexOf(name)];
  return {
    ...a, index: surfaces.length, key: `${a.key} − ${b.key}`, metrics: shared.map((name) => `difference in ${name}`), sorted: undefined,
    values: shared.map((name) => of(a, name, 'values').map((v, k) => v - of(b, name, 'values')[k])),
    error: shared.map((name) => of(a, name, 'error').map((v, k) => Math.hypot(v, of(b, name, 'error')[k]))),
    within: [], computed: a.computed.map((c, k) => c & b.computed[k]), measured: null, paths: [],
  };
}
