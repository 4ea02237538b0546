// Layers over steps: how large the update of every tensor is against its weights, one run at a time.

import { groundColour } from './colour.js';
import { firstStep, lastStep, runs, stateAt } from './data.js';
import { el, svg } from './dom.js';
import { short } from './format.js';
import { goTo, isVisible, onChange, state } from './state.js';
import { extentOf, linearTicks, scaleOf } from './ticks.js';
import { showTip, tipRow } from './tip.js';

export class LayerPanel {
  left = 0;
  bottom = 0;
  height = 0;
  /** @type {(step: number) => number} */ x = () => 0;

  constructor(parent) {
    this.note = el('span', { class: 'note' });
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.axes = svg('svg', { role: 'img' });
    this.tip = el('div', { class: 'tip', hidden: true });
    this.box = el('div', { class: 'plot scrub heat' }, this.canvas, this.axes, this.tip);
    this.panel = el('section', { class: 'panel', id: 'panel-layers' }, el('header', {}, el('h2', {}, 'Updates against weights, by layer'), this.note), this.box);
    parent.append(this.panel);
    new ResizeObserver(() => this.draw()).observe(this.box);
    const go = (event) => event.buttons & 1 && goTo(this.under(event).step);
    this.box.addEventListener('pointerdown', go);
    this.box.addEventListener('pointermove', (event) => { go(event); this.hover(event); });
    this.box.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    onChange((changed) => (['hidden', 'theme', 'range', 'size'].some((name) => changed.has(name)) ? this.draw() : changed.has('step') && this.mark()));
  }

  draw() {
    const [width, height] = [this.box.clientWidth, this.box.clientHeight];
    this.run = runs.find((run) => run.layers && isVisible(run));
    this.panel.hidden = !this.run;
    if (!this.run || !width) return;
    const { names, step, ratio } = this.run.layers;
    const [from, to] = state.range ?? [firstStep, lastStep];
    const unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 14;
    const [left, bottom] = [46 * unit, 20 * unit];
    Object.assign(this, { left, bottom, width, height, x: scaleOf(from, to, left, width - 10 * unit, false) });
    const range = extentOf([ratio], true);
    this.note.textContent = `${this.run.short}${range ? `, ${short(range[0], 2)} … ${short(range[1], 2)}` : ''}`;
    this.axes.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.axes.setAttribute('aria-label', `‖update‖ / ‖weights‖ of ${names.length} tensors of ${this.run.short} over the steps`);
    Object.assign(this.canvas, { width, height });
    const pen = this.canvas.getContext('2d');
    const row = (height - bottom) / names.length;
    const share = range && scaleOf(range[0], range[1], 0, 1, true);
    for (let px = Math.round(left); px < width - 10 * unit; px += 1) {
      const s = stateAt(step, from + ((px - left) / (width - 10 * unit - left)) * (to - from));
      for (let k = 0; k < names.length && s >= 0; k += 1) {
        const value = ratio[k * step.length + s];
        if (!(value > 0) || !Number.isFinite(value)) continue;
        pen.fillStyle = groundColour(share(value));
        pen.fillRect(px, k * row, 1, Math.max(1, row - 0.5));
      }
    }
    this.cursor = svg('line', { class: 'cursor', y1: 0, y2: height - bottom });
    const every = Math.ceil((13 * unit) / row);
    this.axes.replaceChildren(this.cursor,
      ...names.map((name, k) => (k % every ? null : svg('text', { x: left - 4, y: (k + 0.5) * row + 4 * unit, 'text-anchor': 'end' }, name.slice(0, 7)))).filter(Boolean),
      ...linearTicks(from, to, 5).map((v) => svg('text', { x: this.x(v), y: height - 6 * unit, 'text-anchor': 'middle' }, String(v))));
    this.axes.classList.add('axes');
    this.mark();
  }

  mark() {
    if (this.cursor) this.cursor.setAttribute('transform', `translate(${this.x(Math.floor(state.step)).toFixed(1)} 0)`);
  }

  /** Step and layer under the pointer. */
  under(event) {
    const frame = this.box.getBoundingClientRect();
    const [from, to] = state.range ?? [firstStep, lastStep];
    const share = (event.clientX - frame.left - this.left) / (this.x(to) - this.left);
    const layer = Math.floor(((event.clientY - frame.top) / (this.height - this.bottom)) * this.run.layers.names.length);
    return { step: Math.round(from + Math.max(0, Math.min(1, share)) * (to - from)), layer };
  }

  hover(event) {
    const { names, step, ratio } = this.run.layers;
    const at = this.under(event);
    const s = stateAt(step, at.step);
    if (s < 0 || !(at.layer < names.length)) { this.tip.hidden = true; return; }
    showTip(this.tip, this.box, event, [el('b', {}, names[at.layer]), tipRow('step', String(step[s])), tipRow('‖update‖ / ‖weights‖', short(ratio[at.layer * step.length + s], 4))]);
  }
}

/** The panel of a page whose layers were measured. */
export const layersPanel = (parent) => (runs.some((run) => run.layers) ? new LayerPanel(parent) : null);
