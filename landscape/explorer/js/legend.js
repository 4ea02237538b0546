// The colour bar of a landscape and the chips that switch runs.

import { groundColour, shareColour, themeColour } from './colour.js';
import { pathOf, runs, valueAt } from './data.js';
import { byId, el, svg } from './dom.js';
import { short, tickText } from './format.js';
import { sample } from './markers.js';
import { farthest, quantityOf } from './paths.js';
import { penOn } from './sheets.js';
import { isVisible, onChange, onlyRun, setState, state, toggleRun, visibleRuns } from './state.js';
import { scaleOf, ticksOf } from './ticks.js';

export class ColourBar {
  static count = 0;
  /** @type {[number, any][]} where needles are, and whose */ needles = [];
  /** @type {string | null} */ drawn = null;
  runs = [];
  u = 0;
  width = 0;

  constructor() {
    this.svg = svg('svg', { class: 'bar', role: 'img', 'aria-label': 'colours of the surface' });
    ColourBar.count += 1;
    this.id = `bar-${ColourBar.count}`;
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.box = el('div', { class: 'bar-box' }, this.svg, this.canvas);
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  show(terrain) {
    this.terrain = terrain;
    this.draw();
  }

  draw() {
    const { terrain } = this;
    const width = this.svg.clientWidth;
    this.svg.replaceChildren();
    [this.runs, this.u] = [[], 0];
    this.canvas.hidden = !terrain || terrain.empty;
    if (!terrain || terrain.empty || width < 60) return;
    const u = this.svg.clientHeight / 30;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${30 * u}`);
    const [left, right] = [10 * u, width - 14 * u];
    this.x = scaleOf(terrain.low, terrain.top, left, right, terrain.log);
    this.svg.append(
      svg('linearGradient', { id: this.id }, ...Array.from({ length: 17 }, (_, k) => svg('stop', { offset: k / 16, 'stop-color': groundColour(k / 16) }))),
      svg('rect', { x: left, y: 7 * u, width: right - left, height: 7 * u, fill: `url(#${this.id})`, class: 'ramp' }));
    for (const tick of ticksOf(terrain.low, terrain.top, Math.max(2, Math.floor(width / (48 * u))), terrain.log)) {
      this.svg.append(svg('text', { x: this.x(tick), y: 26 * u, 'text-anchor': 'middle' }, tickText(tick)));
    }
    if (terrain.top < terrain.high) this.svg.append(svg('path', { d: `M${right} ${5 * u}v${11 * u}`, class: 'clip' }, svg('title', {}, `clipped at ${short(terrain.top)}; highest ${short(terrain.high)}`)));
    if (terrain.below) this.svg.append(svg('path', { d: `M${left} ${5 * u}v${11 * u}`, class: 'clip low' }, svg('title', {}, `${terrain.below} points are not positive and are drawn at ${short(terrain.low)}; lowest ${short(terrain.least)}`)));
    this.runs = visibleRuns().filter((run) => pathOf(terrain.surface, run)?.loss && terrain.metric === 0);
    Object.assign(this, { u, width, drawn: null });
    this.step();
  }

  /** Put a needle where the loss of every run is. */
  step() {
    const { terrain, runs: shown, u, width } = this;
    if (!u) return;
    this.needles = shown.map((run) => [valueAt(pathOf(terrain.surface, run), 'loss', state.step), run]).filter(([loss]) => Number.isFinite(loss))
      .map(([loss, run]) => [this.x(terrain.clamp(loss)), run]);
    const places = this.needles.map(([x]) => x.toFixed(1)).join();
    if (places === this.drawn) return;
    this.drawn = places;
    const pen = penOn(this.canvas, { width, height: 30 * u }, Math.max(1, devicePixelRatio));
    for (const [x, run] of this.needles) pen.shape('M0 7L-3.2 1H3.2Z', x, 0, { fill: themeColour(`run-${run.index}`), stroke: themeColour('halo'), width: 0.5 * u, scale: u });
  }
}

/** The slider that flattens a surface above a share of its points. */
export function makeClip() {
  const input = el('input', { type: 'range', min: 0.5, max: 1, step: 0.01, 'aria-label': 'clip' });
  const box = el('label', { class: 'clip-box' }, el('span', { class: 'note' }, 'clip'), input);
  input.addEventListener('input', () => setState({ clip: Number(input.value) }));
  const show = (terrain) => {
    const text = terrain.top < terrain.high ? `flat above ${short(terrain.top)}; the highest point is ${short(terrain.high)}` : 'nothing is clipped';
    input.value = terrain.share;
    input.style.setProperty('--share', `${200 * (terrain.share - 0.5)}%`);
    input.setAttribute('aria-valuetext', text);
    box.title = text;
  };
  return { box, show };
}

/** What the colours and the strength of the paths say, when they say more than whose a path is. */
export function makePathScale() {
  const box = el('p', { class: 'note path-scale', hidden: true });
  const show = (terrain) => {
    const quantity = quantityOf(terrain);
    const parts = [];
    if (quantity) {
      const { ends: [low, high], unit = '' } = quantity;
      const colours = Array.from({ length: 9 }, (_, k) => shareColour(k / 8)).join();
      parts.push(el('span', {}, `paths: ${short(low)}${unit}`), el('i', { style: `background:linear-gradient(to right,${colours})` }), el('span', {}, `${short(high)}${unit}`));
    }
    if (state.fade === 'on') parts.push(el('span', {}, `faintest: ${short(farthest(terrain.surface))} off the plane`));
    box.hidden = !parts.length;
    box.replaceChildren(...parts);
  };
  return { box, show };
}

/** Told which run is pointed at, or null. */
export const focusListeners = [];

/** Dim every run but one, while a chip or a row is pointed at. */
function emphasise(index) {
  byId('emphasis').textContent = index === null ? '' : `.plot [data-run]:not([data-run="${index}"]) { opacity: 0.12; }`;
  for (const listener of focusListeners) listener(index);
}

export function emphasiseOn(node, run) {
  node.addEventListener('pointerenter', (event) => event.pointerType !== 'touch' && emphasise(isVisible(run) ? run.index : null));
  node.addEventListener('pointerleave', () => emphasise(null));
  return node;
}

const AT_ONCE = 10; // chips that stand beside the landscape; the others are in a list with a search

function chipOf(run) {
  const choose = (event) => {
    if (event.detail > 1) return; // the second click of a double click
    if (event.shiftKey && !state.hidden.length) onlyRun(run.index);
    else toggleRun(run.index);
  };
  const title = `${run.name}${run.index < 9 ? ` (key ${run.index + 1})` : ''}; double-click: only this run`;
  return emphasiseOn(el('li', {}, el('button', {
    type: 'button', class: 'chip', title, 'data-run': run.index, onclick: choose, ondblclick: () => onlyRun(run.index),
  }, sample(run), el('bdi', {}, run.short))), run);
}

export function makeLegend(parent, prefix) {
  const few = runs.slice(0, runs.length > AT_ONCE ? AT_ONCE - 2 : AT_ONCE);
  const list = el('ul', { class: 'legend', 'aria-label': 'runs' }, ...few.map(chipOf));
  parent.append(list);
  if (prefix) list.prepend(el('li', { class: 'note', title: 'all names begin with this' }, el('bdi', {}, `${prefix}…`)));
  if (few.length < runs.length) {
    const search = el('input', { type: 'search', placeholder: 'search runs', 'aria-label': 'search runs' });
    const all = el('ul', { class: 'legend' }, ...runs.map(chipOf));
    const every = el('button', { type: 'button', class: 'quiet', onclick: () => setState({ hidden: [] }) }, 'show all');
    const none = el('button', { type: 'button', class: 'quiet', onclick: () => setState({ hidden: runs.map((run) => run.index) }) }, 'hide all');
    const box = el('div', { class: 'all-runs', id: 'all-runs', hidden: true }, el('div', { class: 'row' }, search, every, none), all);
    const more = el('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false', 'aria-controls': 'all-runs', id: 'more-runs' }, `${runs.length - few.length} more`);
    more.addEventListener('click', () => {
      box.hidden = !box.hidden;
      more.setAttribute('aria-expanded', String(!box.hidden));
      if (!box.hidden) search.focus();
    });
    search.addEventListener('input', () => [...all.children].forEach((chip, k) => { chip.hidden = !runs[k].name.toLowerCase().includes(search.value.toLowerCase()); }));
    list.append(el('li', {}, more));
    parent.append(box);
  }
  const update = () => parent.querySelectorAll('.chip').forEach((chip) => chip.setAttribute('aria-pressed', String(!state.hidden.includes(Number(chip.dataset.run)))));
  onChange((changed) => changed.has('hidden') && update());
  update();
}
