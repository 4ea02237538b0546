// Rows over steps as colours, one run at a time: what layers and gradients do along a run.

import { groundColour } from './colour.js';
import { firstStep, lastStep, stateAt } from './data.js';
import { el, svg } from './dom.js';
import { goTo, onChange, state } from './state.js';
import { linearTicks, scaleOf } from './ticks.js';
import { showTip, tipRow } from './tip.js';

/**
 * What a panel shows: from above rows of `names` at the steps `step`, `share(row, k)` 0 … 1 of the
 * colours or NaN, and what is said of a cell.
 * @typedef {{names: string[], step: ArrayLike<number>, share: (row: number, k: number) => number,
 *   told: (row: number, k: number) => [string, string][], note: string, label: string}} Rows
 */

export class HeatPanel {
  left = 0;
  bottom = 0;
  height = 0;
  /** @type {(step: number) => number} */ x = () => 0;

  /**
   * @param {HTMLElement} parent
   * @param {{id: string, title: string, given: () => Rows | null}} options null hides the panel
   */
  constructor(parent, { id, title, given }) {
    this.given = given;
    this.note = el('span', { class: 'note' });
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.axes = svg('svg', { role: 'img', class: 'axes' });
    this.tip = el('div', { class: 'tip', hidden: true });
    this.box = el('div', { class: 'plot scrub heat' }, this.canvas, this.axes, this.tip);
    this.panel = el('section', { class: 'panel', id: `panel-${id}` }, el('header', {}, el('h2', {}, title), this.note), this.box);
    parent.append(this.panel);
    new ResizeObserver(() => this.draw()).observe(this.box);
    const go = (event) => event.buttons & 1 && goTo(this.under(event).step);
    this.box.addEventListener('pointerdown', go);
    this.box.addEventListener('pointermove', (event) => { go(event); this.hover(event); });
    this.box.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    onChange((changed) => (['hidden', 'theme', 'range', 'size'].some((name) => changed.has(name)) ? this.draw() : changed.has('step') && this.mark()));
  }

  draw() {
    this.rows = this.given();
    this.panel.hidden = !this.rows;
    const [width, height] = [this.box.clientWidth, this.box.clientHeight];
    if (!this.rows || !width) return;
    const { names, step, share } = this.rows;
    const [from, to] = state.range ?? [firstStep, lastStep];
    const unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 14;
    const [left, bottom] = [46 * unit, 20 * unit];
    const right = width - 10 * unit;
    Object.assign(this, { left, bottom, height, x: scaleOf(from, to, left, right, false) });
    this.note.textContent = this.rows.note;
    this.axes.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.axes.setAttribute('aria-label', this.rows.label);
    Object.assign(this.canvas, { width, height });
    const pen = this.canvas.getContext('2d');
    const row = (height - bottom) / names.length;
    for (let px = Math.round(left); px < right; px += 1) {
      const k = stateAt(step, from + ((px - left) / (right - left)) * (to - from));
      for (let r = 0; r < names.length && k >= 0; r += 1) {
        const found = share(r, k);
        if (Number.isNaN(found)) continue;
        pen.fillStyle = groundColour(found);
        pen.fillRect(px, r * row, 1, Math.max(1, row - 0.5));
      }
    }
    this.cursor = svg('line', { class: 'cursor', y1: 0, y2: height - bottom });
    const every = Math.ceil((13 * unit) / row);
    this.axes.replaceChildren(this.cursor,
      ...names.map((name, r) => (r % every ? null : svg('text', { x: left - 4, y: (r + 0.5) * row + 4 * unit, 'text-anchor': 'end' }, name.slice(0, 7)))).filter(Boolean),
      ...linearTicks(from, to, 5).map((v) => svg('text', { x: this.x(v), y: height - 6 * unit, 'text-anchor': 'middle' }, String(v))));
    this.mark();
  }

  mark() {
    if (this.cursor) this.cursor.setAttribute('transform', `translate(${this.x(Math.floor(state.step)).toFixed(1)} 0)`);
  }

  /** Step and row under the pointer. */
  under(event) {
    const frame = this.box.getBoundingClientRect();
    const [from, to] = state.range ?? [firstStep, lastStep];
    const share = (event.clientX - frame.left - this.left) / (this.x(to) - this.left);
    const row = Math.floor(((event.clientY - frame.top) / (this.height - this.bottom)) * this.rows.names.length);
    return { step: Math.round(from + Math.max(0, Math.min(1, share)) * (to - from)), row };
  }

  hover(event) {
    const { names, step, told } = this.rows;
    const at = this.under(event);
    const k = stateAt(step, at.step);
    if (k < 0 || !(at.row < names.length)) { this.tip.hidden = true; return; }
    showTip(this.tip, this.box, event, [el('b', {}, names[at.row]), tipRow('step', String(step[k])), ...told(at.row, k).map((row) => tipRow(...row))]);
  }
}
