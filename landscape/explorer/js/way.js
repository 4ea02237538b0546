// The ways of runs that are watched, in the plane in which they move most.

import { numbersOf, runs, stateAt } from './data.js';
import { el, svg } from './dom.js';
import { percent } from './format.js';
import { markerPath, svgDashes } from './markers.js';
import { goTo, isVisible, onChange, state } from './state.js';
import { extentOf, lineThrough } from './ticks.js';
import { showTip } from './tip.js';

const RANDOM_WALK = 0.76; // 6/π²·(1 + 1/4): two axes of a long walk in many dimensions (arXiv:1806.08805)
const ROOM = 14; // pixels around the paths
const NEAR = 24; // pixels

export class WayChart {
  /** @type {{share: number, note: string, paths: any[]}} */ given = { share: NaN, note: '', paths: [] };
  places = [];

  constructor(parent, id) {
    this.note = el('span', { class: 'note' });
    this.svg = svg('svg', { role: 'img' });
    this.tip = el('div', { class: 'tip', hidden: true });
    this.box = el('div', { class: 'plot' }, this.svg, this.tip);
    this.panel = el('section', { class: 'panel way-panel', id: `panel-way-${id}` }, el('header', {}, el('h2', {}, 'Path'), this.note), this.box);
    parent.prepend(this.panel);
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.box.addEventListener('pointermove', (event) => this.hover(event));
    this.box.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    this.box.addEventListener('click', (event) => { const found = this.under(event); if (found) goTo(found.path.step[found.i]); });
    onChange((changed) => {
      if (['hidden', 'size'].some((name) => changed.has(name))) this.draw();
      else if (changed.has('step')) this.mark();
    });
  }

  show({ share, note, paths }) {
    this.given = { share, note, paths: paths.map(({ run, step, x, y }) => ({ run: runs.find((one) => one.name === run), step: numbersOf(step), x: numbersOf(x), y: numbersOf(y) })) };
    this.note.textContent = [`in the plane of most movement: ${percent(share)} of it; a long random walk: ${percent(RANDOM_WALK)}`, note].filter(Boolean).join('; ');
    this.note.title = this.note.textContent;
    this.draw();
  }

  /** Both axes have one scale: lengths and angles are those of the plane. */
  draw() {
    const [width, height] = [this.box.clientWidth, this.box.clientHeight];
    const shown = this.given.paths.filter(({ run }) => isVisible(run));
    const [x, y] = [extentOf(shown.map((path) => path.x), false), extentOf(shown.map((path) => path.y), false)];
    this.svg.replaceChildren();
    this.places = [];
    if (!width || !height || !x || !y) return;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const scale = Math.min((width - 2 * ROOM) / (x[1] - x[0]), (height - 2 * ROOM) / (y[1] - y[0]));
    const place = (path, i) => [width / 2 + scale * (path.x[i] - (x[0] + x[1]) / 2), height / 2 - scale * (path.y[i] - (y[0] + y[1]) / 2)];
    for (const path of shown) {
      const { run } = path;
      const line = lineThrough([...path.step.keys()], (i) => place(path, i)[0], (i) => place(path, i)[1]);
      const marker = svg('path', { d: markerPath(run), class: 'marker', 'data-run': run.index, style: `--colour:var(--run-${run.index})` });
      const [startX, startY] = place(path, 0);
      this.svg.append(
        svg('path', { d: line, class: 'curve', 'data-run': run.index, style: `stroke:var(--run-${run.index})`, 'stroke-dasharray': svgDashes(run.dash) }),
        svg('circle', { cx: startX, cy: startY, r: 3, class: 'knot', style: `fill:var(--run-${run.index})` }), marker);
      this.places.push({ path, marker, at: (i) => place(path, i) });
    }
    this.svg.setAttribute('aria-label', `Path of ${shown.map(({ run }) => run.name).join(', ')}. ${this.note.textContent}`);
    this.mark();
  }

  /** Put the markers where the runs are at the present step, as far as that is kept. */
  mark() {
    for (const { path, marker, at } of this.places) {
      const i = stateAt(path.step, state.step);
      marker.setAttribute('visibility', i < 0 ? 'hidden' : 'visible');
      if (i >= 0) marker.setAttribute('transform', `translate(${at(i)[0]} ${at(i)[1]})`);
    }
  }

  under(event) {
    const frame = this.box.getBoundingClientRect();
    let [best, least] = [null, NEAR];
    for (const { path, at } of this.places) {
      for (let i = 0; i < path.step.length; i += 1) {
        const [x, y] = at(i);
        const away = Math.hypot(x - (event.clientX - frame.left), y - (event.clientY - frame.top));
        if (away < least) [best, least] = [{ path, i }, away];
      }
    }
    return best;
  }

  hover(event) {
    const found = this.under(event);
    this.tip.hidden = !found;
    if (found) showTip(this.tip, this.box, event, [el('div', { class: 'row' }, el('b', {}, found.path.run.name), el('span', { class: 'number' }, `step ${found.path.step[found.i]}`))]);
  }
}
