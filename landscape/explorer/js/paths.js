// The runs over a landscape: whole paths faint, trails up to the step, a marker with its stem.

import { pathOf, runs, stateAt, valueAt } from './data.js';
import { heightAt } from './field.js';
import { isHidden } from './picking.js';
import { lineVertices, reachAlong } from './ribbons.js';
import { simplified } from './simplify.js';
import { DASHES, HIDDEN } from './markers.js';
import { HALO, isDark, rgb, runColour, shareColour } from './colour.js';
import { state, visibleRuns } from './state.js';
import { thinned } from './ticks.js';

const MOST_POINTS = 3200; // looked at per run for a whole path
const TOLERANCE = 0.4; // pixels between a path and the line that is drawn for it
const SHADE = 60; // pixels that count as much as a change from one end of a path's colours to the other
export const USUAL = 1.5; // thickness; dashes and halos grow with it
export const motion = { smooth: false }; // between states while playing, on states otherwise

export class RunLayer {
  items = [];
  terrain = null;
  box = null;
  ribbons = null;
  detail = null;
  axes = 0;
  /** Counts what was drawn anew. */ version = 0;

  /** Take over the visible runs of a terrain. */
  show(terrain, box, ribbons) {
    Object.assign(this, { terrain, box, ribbons });
    const old = new Map(this.items.map((item) => [item.run.index, item]));
    this.detail = null;
    this.items = visibleRuns().map((run) => [run, pathOf(terrain.surface, run)]).filter(([, path]) => path)
      .map(([run, path]) => this.item(run, path, old.get(run.index)));
  }

  item(run, path, old) {
    const { terrain, box } = this;
    const measuredHere = terrain.metric === 0;
    const sheet = (i) => heightAt(terrain.field, path.x[i], path.y[i]);
    const ground = (i) => (measuredHere && path.inPlane && !Number.isNaN(path.inPlane[i]) ? terrain.height(path.inPlane[i]) : sheet(i));
    const own = (i) => (measuredHere && path.loss && state.drop === 'off' ? terrain.height(path.loss[i]) : state.drop === 'on' ? sheet(i) : ground(i));
    const first = (...heights) => heights.find((h) => !Number.isNaN(h)) ?? 0;
    const item = {
      run, path, side: old?.side, buffers: old?.buffers ?? {},
      colour: runColour(run),
      kept: thinned(path.step.length, MOST_POINTS / 4, path.x, path.y),
      points: Array.from(path.step, (_, i) => box.place(path.x[i], path.y[i], first(own(i), ground(i)))),
      feet: Array.from(path.step, (_, i) => box.place(path.x[i], path.y[i], first(ground(i), own(i)))),
    };
    Object.assign(item, tintsOf(item, terrain));
    return item;
  }

  /** Choose what of every path is drawn in a view; from straight above heights do not matter. */
  refine({ scale, tilt }) {
    const detail = 2 ** Math.ceil(Math.log2(scale * Math.max(1, devicePixelRatio)));
    const axes = tilt > 0 ? [0, 1, 2] : [0, 1];
    if (detail === this.detail && axes.length === this.axes) return;
    Object.assign(this, { detail, axes: axes.length, version: this.version + 1 });
    for (const item of this.items) {
      const { kept, points, shares, tints } = item;
      const columns = [...axes.map((n) => kept.map((i) => points[i][n])),
        ...shares.map((share) => kept.map((i) => ((share(i) || 0) * SHADE) / detail))];
      item.drawn = simplified(columns, TOLERANCE / detail).map((k) => kept[k]);
      const corners = item.drawn.map((i) => points[i]);
      item.reach = reachAlong(corners);
      if (this.ribbons) item.buffers.drawn = this.ribbons.buffer(lineVertices(corners, (k) => tints(item.drawn[k])), item.buffers.drawn);
    }
  }

  /** Markers at a step in a view; positions between states while playing. */
  step(step, view, frame) {
    this.drawn = { step, view };
    this.refine(view);
    for (const item of this.items) {
      const { path, points, feet } = item;
      const now = stateAt(path.step, step);
      let last = now;
      while (last > 0 && !points[last].every(Number.isFinite)) last -= 1;
      const here = last >= 0 && points[last].every(Number.isFinite);
      item.state = here ? last : undefined;
      item.lost = here && (last !== now || Boolean(path.loss && !Number.isFinite(path.loss[last])));
      if (!here) { item.at = null; continue; }
      const next = last + 1 < path.step.length ? last + 1 : last;
      const t = next > last && motion.smooth ? Math.min(1, (step - path.step[last]) / (path.step[next] - path.step[last])) : 0;
      const between = (list) => (t > 0 && list[next].every(Number.isFinite) ? list[last].map((v, n) => v + t * (list[next][n] - v)) : list[last]);
      item.at = between(points);
      [item.x, item.y] = view.pixel(item.at);
      [item.footX, item.footY] = view.pixel(between(feet));
      item.stem = view.tilt > 0.2 && Math.hypot(item.x - item.footX, item.y - item.footY) > 2;
      item.hidden = isHidden(this.terrain, this.box, view, item.at);
      item.outside = item.x < frame.x - 1 || item.x > frame.x + frame.width + 1 || item.y < frame.y - 1 || item.y > frame.y + frame.height + 1;
    }
  }

  /**
   * What of a trail is among the drawn corners, [from, to], and its ends that are not: each a line
   * of two points with the states whose colours they have and the length of the path before it.
   */
  trail({ path, points, drawn, reach, state: last, at }, step) {
    if (state.trail === '0' || last === undefined) return null;
    const start = state.trail === 'all' ? 0 : Math.max(0, stateAt(path.step, step - Number(state.trail)));
    const [from, to] = [stateAt(drawn, start - 0.5) + 1, stateAt(drawn, last)];
    const ends = [];
    if (to < from) ends.push({ line: [points[start], at], states: [start, last], before: 0 });
    else {
      const before = Math.max(0, reach[from] - Math.hypot(...points[start].map((v, n) => v - points[drawn[from]][n])));
      if (drawn[from] > start) ends.push({ line: [points[start], points[drawn[from]]], states: [start, drawn[from]], before });
      ends.push({ line: [points[drawn[to]], at], states: [drawn[to], last], before: reach[to] });
    }
    return { start, from, to, ends };
  }

  /** The whole paths, faint: they stand while the camera does. */
  drawWhole(width) {
    for (const { buffers, drawn } of this.items) this.ribbons.draw(buffers.drawn, 0, drawn.length - 1, { width: 0.8 * width, strength: 0.55 });
  }

  /** The trails up to the step. */
  drawGl(view, width) {
    const { ribbons } = this;
    const grown = width / USUAL;
    const dashed = (dash) => dash?.map((d) => d * grown);
    const halo = [...rgb(HALO[isDark() ? 'dark' : 'light']), 1];
    for (const item of this.items) {
      const trail = this.trail(item, this.drawn.step);
      if (!trail) continue;
      const { ends } = trail;
      ends.forEach(({ line, states, before }, k) => {
        item.buffers[k] = ribbons.buffer(lineVertices(line, (n) => item.tints(states[n]), before), item.buffers[k]);
      });
      const both = (look) => {
        ribbons.draw(item.buffers.drawn, trail.from, trail.to, look);
        ends.forEach((_, k) => ribbons.draw(item.buffers[k], 0, 1, look));
      };
      both({ width: 1.5 * width + 3.4 * grown, cover: halo });
      both({ width: 1.5 * width, dash: dashed(DASHES[item.run.dash]), nearer: 0.005 });
      if (view.tilt === 0) continue;
      both({ width: 1.5 * width + 2 * grown, dash: dashed(HIDDEN), hidden: true, strength: 0.7, cover: halo });
      both({ width: 1.5 * width, dash: dashed(HIDDEN), hidden: true });
    }
  }

  /** The drawn state nearest to a pixel, within `reach`: {item, state} or null. */
  nearest(x, y, reach) {
    let best = null;
    let least = reach * reach;
    const consider = (item, i, [px, py]) => {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [least, best] = [distance, { item, state: i }];
    };
    for (const item of this.items) {
      for (const i of item.kept) if (item.points[i].every(Number.isFinite)) consider(item, i, this.drawn.view.pixel(item.points[i]));
      if (item.at) consider(item, item.state, [item.x, item.y]);
    }
    return best;
  }
}

/** The largest distance of any state of any run from the plane of a surface. */
export function farthest(surface) {
  surface.farthest ??= surface.paths.reduce((most, { residual }) => residual.reduce((m, v) => (v > m && v < Infinity ? v : m), most), 1e-12);
  return surface.farthest;
}

/** The least and greatest learning rate of all runs. */
function rates() {
  const all = runs.flatMap((run) => (run.path ? [...run.path.learning_rate] : [])).filter((v) => v > 0 && v < Infinity);
  return all.length ? [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))] : null;
}

/** What colours the paths over a terrain: both ends of its scale, and its share 0 … 1 at a state. */
export function quantityOf(terrain) {
  const along = (name) => (run, path, i) => valueAt(run.path, name, path.step[i]) ?? NaN;
  if (state.colour === 'loss') {
    return { ends: [terrain.low, terrain.top], share: (run, path, i) => terrain.height(path.loss?.[i] ?? path.inPlane?.[i] ?? NaN) };
  }
  if (state.colour === 'angle') return { ends: [0, 180], unit: '°', share: (...at) => along('angle')(...at) / 180 };
  if (state.colour === 'residual') {
    const most = farthest(terrain.surface);
    return { ends: [0, most], share: (run, path, i) => path.residual[i] / most };
  }
  const ends = state.colour === 'rate' ? rates() : null;
  const span = ends && Math.log(ends[1] / ends[0]);
  return ends && { ends, share: (...at) => (span > 0 ? Math.log(along('learning_rate')(...at) / ends[0]) / span : 1) };
}

/** Colour and strength of a path at every state, of its run or of a quantity along it, and what they follow. */
function tintsOf({ run, path, colour }, terrain) {
  const plain = rgb(colour);
  const most = farthest(terrain.surface);
  const quantity = quantityOf(terrain);
  const share = quantity && ((i) => quantity.share(run, path, i));
  const far = (i) => Math.min(1, path.residual[i] / most || 0);
  const shares = [share, state.fade === 'on' && far].filter(Boolean);
  const tints = (i) => [...(share ? rgb(shareColour(share(i))) : plain), state.fade === 'on' ? 1 - 0.75 * far(i) : 1];
  return { tints, shares };
}
