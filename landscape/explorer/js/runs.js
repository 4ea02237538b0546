// The runs over a landscape: whole paths faint, trails up to the step, a marker with its stem.
// Everything here is SVG above Plotly's picture, so that a step costs a few attributes.

const MOST_POINTS = 800; // drawn per run for a whole path
const motion = { smooth: false }; // between states while playing, on states otherwise
const FULL_BEHIND = 120; // states behind the marker drawn without thinning

class RunLayer {
  constructor() {
    this.clip = svg('rect', {});
    const id = `over-${RunLayer.count = (RunLayer.count ?? 0) + 1}`;
    this.lines = svg('g', { 'clip-path': `url(#${id})` });
    this.marks = svg('g', {});
    this.svg = svg('svg', { class: 'runs', 'aria-hidden': 'true' }, svg('defs', {}, svg('clipPath', { id }, this.clip)), this.lines, this.marks);
    this.items = [];
  }

  /** Draw the runs of a terrain from now on. */
  show(terrain) {
    this.terrain = terrain;
    this.lines.replaceChildren();
    this.marks.replaceChildren();
    this.items = visibleRuns().map((run) => [run, pathOf(terrain.surface, run)]).filter(([, path]) => path)
      .map(([run, path]) => this.item(run, path));
    for (const item of this.items) this.lines.append(item.whole);
    for (const item of this.items) this.lines.append(item.halo, item.trail);
    for (const item of this.items) this.marks.append(item.stem, item.foot);
    if (this.items.length) this.marks.append(this.start = svg('circle', { class: 'start', r: 4.5 }));
    for (const item of this.items) this.marks.append(item.marker);
    for (const item of this.items) this.marks.append(item.label);
  }

  item(run, path) {
    const colour = `var(--run-${run.index})`;
    const { surface, metric, clamp } = this.terrain;
    const ground = (i) => (metric === 0 && path.inPlane ? path.inPlane[i] : heightAt(surface, this.terrain.values, path.x[i], path.y[i]));
    const measured = (i) => (metric === 0 && path.loss && state.drop === 'off' ? path.loss[i] : ground(i));
    return {
      run, path, colour,
      kept: thinned(path.step.length, MOST_POINTS / 4, path.x, path.y),
      height: Array.from(path.step, (_, i) => clamp([measured(i), ground(i)].find((v) => !Number.isNaN(v)) ?? Infinity)),
      ground: Array.from(path.step, (_, i) => clamp([ground(i), measured(i)].find((v) => !Number.isNaN(v)) ?? Infinity)),
      sx: new Float64Array(path.step.length), sy: new Float64Array(path.step.length),
      whole: svg('path', { class: 'whole', 'data-run': run.index, style: `stroke:${colour}` }),
      halo: svg('path', { class: 'halo', 'data-run': run.index }),
      trail: svg('path', { class: 'trail', 'data-run': run.index, style: `stroke:${colour}`, 'stroke-dasharray': DASHES[run.dash] }),
      stem: svg('line', { class: 'stem', 'data-run': run.index, style: `stroke:${colour}` }),
      foot: svg('circle', { class: 'foot', 'data-run': run.index, r: 2, style: `fill:${colour}` }),
      marker: svg('path', { class: 'marker', 'data-run': run.index, d: markerPath(run), style: `--colour:${colour}` }),
      label: svg('text', { class: 'label', 'data-run': run.index }, run.name.length > 24 ? `${run.name.slice(0, 23)}…` : run.name),
    };
  }

  /** Place everything for a projection to pixels; `frame` is what may be drawn in. */
  place(project, frame) {
    this.project = project;
    this.frame = frame;
    for (const [name, value] of Object.entries(frame)) this.clip.setAttribute(name, Math.max(0, value));
    for (const item of this.items) {
      item.texts = item.kept.map((i) => this.pixel(item, i));
      item.whole.setAttribute('d', penned(item.texts));
    }
    this.step(state.step);
  }

  /** Project a state; its pixel as text, empty when it is not finite. */
  pixel(item, i) {
    const [x, y] = this.project(item.path.x[i], item.path.y[i], item.height[i]);
    [item.sx[i], item.sy[i]] = [x, y];
    return Number.isFinite(x) && Number.isFinite(y) ? `${x.toFixed(1)} ${y.toFixed(1)}` : '';
  }

  /** Move trails, markers, stems and labels to a step (between states while playing). */
  step(step) {
    if (!this.project) return;
    const labels = [];
    for (const item of this.items) {
      const { path } = item;
      const now = stateAt(path.step, step);
      let last = now;
      while (last > 0 && !Number.isFinite(path.x[last] + path.y[last])) last -= 1;
      item.marker.classList.toggle('lost', last !== now || Boolean(path.loss && !Number.isFinite(path.loss[last])));
      const at = last < 0 ? null : this.position(item, last, step);
      for (const node of [item.marker, item.label, item.stem, item.foot, item.halo, item.trail]) node.setAttribute('visibility', at ? 'visible' : 'hidden');
      if (!at) continue;
      const drawn = state.trail === '0' ? '' : penned([...this.behind(item, last, step), `${at.x.toFixed(1)} ${at.y.toFixed(1)}`]);
      item.halo.setAttribute('d', drawn);
      item.trail.setAttribute('d', drawn);
      item.marker.setAttribute('transform', `translate(${at.x.toFixed(2)} ${at.y.toFixed(2)})`);
      const stem = state.view === '3d' && Math.hypot(at.x - at.gx, at.y - at.gy) > 1;
      item.stem.setAttribute('visibility', stem ? 'visible' : 'hidden');
      item.foot.setAttribute('visibility', stem ? 'visible' : 'hidden');
      if (stem) {
        for (const [name, value] of Object.entries({ x1: at.x, y1: at.y, x2: at.gx, y2: at.gy })) item.stem.setAttribute(name, value.toFixed(1));
        item.foot.setAttribute('transform', `translate(${at.gx.toFixed(1)} ${at.gy.toFixed(1)})`);
      }
      Object.assign(item, { x: at.x, y: at.y, state: last });
      if (this.inside(at)) labels.push(item);
      else item.label.setAttribute('visibility', 'hidden');
    }
    this.placeStart();
    placeLabels(labels, this.frame);
  }

  placeStart() {
    const item = this.items[0];
    if (!item) return;
    const [x, y] = this.project(item.path.x[0], item.path.y[0], item.height[0]);
    this.start.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  }

  inside({ x, y }) {
    const { x: left, y: top, width, height } = this.frame;
    return x >= left - 1 && x <= left + width + 1 && y >= top - 1 && y <= top + height + 1;
  }

  position({ path, height, ground }, i, step) {
    const next = i + 1 < path.step.length ? i + 1 : i;
    const t = next > i && motion.smooth ? (step - path.step[i]) / (path.step[next] - path.step[i]) : 0;
    const between = (column) => (t > 0 && Number.isFinite(column[next]) ? column[i] + t * (column[next] - column[i]) : column[i]);
    const [x, y] = [between(path.x), between(path.y)];
    const [px, py] = this.project(x, y, between(height));
    const [gx, gy] = this.project(x, y, between(ground));
    return Number.isFinite(px) && Number.isFinite(py) ? { x: px, y: py, gx, gy } : null;
  }

  /** The trail's pixels: thinned far behind, every state near the marker. */
  behind(item, last, step) {
    const { path, kept } = item;
    const from = state.trail === 'all' ? 0 : Math.max(0, stateAt(path.step, step - Number(state.trail)));
    const near = Math.max(from, last - FULL_BEHIND);
    const texts = item.texts.slice(stateAt(kept, from - 1) + 1, stateAt(kept, near - 1) + 1);
    for (let i = near; i <= last; i += 1) texts.push(this.pixel(item, i));
    return texts;
  }

  /** The drawn state nearest to a pixel, within `reach`: {item, state} or null. */
  nearest(x, y, reach) {
    let best = null;
    let least = reach * reach;
    const consider = (item, i, px, py) => {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) {
        least = distance;
        best = { item, state: i };
      }
    };
    for (const item of this.items) {
      for (const i of item.kept) consider(item, i, item.sx[i], item.sy[i]);
      if (item.state !== undefined) consider(item, item.state, item.x, item.y);
    }
    return best;
  }
}

/** SVG path through pixels given as text; an empty one breaks the line. */
function penned(texts) {
  let d = '';
  let pen = 'M';
  for (const text of texts) {
    if (text) d += pen + text;
    pen = text ? 'L' : 'M';
  }
  return d;
}
