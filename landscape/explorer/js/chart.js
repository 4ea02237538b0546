// A small line chart in SVG, drawn once; its cursor and dots, which follow the steps, are on a canvas.

import { themeColour } from './colour.js';
import { firstStep, lastStep, nearest, stateAt } from './data.js';
import { el, svg } from './dom.js';
import { exportButtons } from './export.js';
import { short, tickText } from './format.js';
import { focusListeners } from './legend.js';
import { CIRCLE, svgDashes } from './markers.js';
import { SvgPen } from './pen.js';
import { penOn } from './sheets.js';
import { goTo, onChange, setState, state } from './state.js';
import { extentOf, lineThrough, linearTicks, scaleOf, thinned, ticksOf } from './ticks.js';
import { showTip } from './tip.js';

const CIRCLE_RADIUS = 5.2;

/** What nobody sees is not drawn again at every step. */
const sights = new WeakMap();
const seenOrNot = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chart = sights.get(target);
    chart.seen = isIntersecting;
    chart.drawMoving();
  }
});

const unit = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 14;

/**
 * A series of a run over x: its colour, its dash, its name.
 * @param {{faint?: boolean, raw?: number[], dots?: number[], stride?: number}} [more]
 */
export const curveOf = (run, x, y, more = {}) => ({ run, name: run.short, colour: `var(--run-${run.index})`, dash: run.dash, x, y, ...more });

export class Chart {
  /** @type {number} */ x0 = NaN;
  /** @type {number} */ x1 = NaN;
  log = false;
  /** What stands where there is nothing to show. @type {string | undefined} */ empty = undefined;
  /** @type {((v: number) => number) | null} */ x = null;
  /** @type {number[] | null | undefined} the ends of the vertical axis */ range = null;
  /** @type {number | undefined} where the cursor stands */ at = undefined;
  /** @type {any[]} the series that have a dot at the cursor */ dotted = [];
  /** @type {number | null} the run that is pointed at */ focus = null;
  seen = true;

  /**
   * @param {HTMLElement} parent
   * @param {{id: string, title: string, note?: string, y?: number[], yTicks?: number[],
   *   yText?: (v: number) => string, xLabel?: string, scrub?: boolean,
   *   bands?: number[][], bare?: boolean, tipText?: (v: number) => string}} options
   */
  constructor(parent, options) {
    this.options = options;
    this.note = el('span', { class: 'note' }, options.note ?? '');
    this.svg = svg('svg', { role: 'img', 'aria-label': options.title });
    this.moving = el('canvas', { class: 'moving', 'aria-hidden': 'true' }); // a step changes no element: nothing is styled or laid out
    this.tip = el('div', { class: 'tip', hidden: true });
    const reached = options.scrub ? { tabindex: 0, role: 'group', 'aria-label': `${options.title}; arrow keys move through the steps` } : {};
    this.box = el('div', { class: `plot${options.scrub ? ' scrub' : ''}`, ...reached }, this.svg, this.moving, this.tip);
    this.panel = el('section', { class: 'panel', id: `panel-${options.id}` },
      el('header', {}, el('h2', {}, options.title), this.note, exportButtons(options.title, () => this.picture())),
      this.box);
    parent.append(this.panel);
    this.series = [];
    new ResizeObserver(() => { this.sizes = null; this.draw(); }).observe(this.box);
    seenOrNot.observe(this.box);
    sights.set(this.box, this);
    onChange((changed) => changed.has('theme') && this.drawMoving());
    focusListeners.push((index) => { this.focus = index; this.drawMoving(); });
    this.box.addEventListener('pointermove', (event) => this.hover(event));
    this.box.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    if (options.scrub) this.listen();
  }

  /** Dragging moves through the steps; with shift it chooses a range to look at and to loop. */
  listen() {
    this.box.addEventListener('focus', () => this.box.matches(':focus-visible') && this.tell());
    this.box.addEventListener('blur', () => { this.tip.hidden = true; });
    let from = null;
    const within = (v) => Math.max(firstStep, Math.min(lastStep, Math.round(v)));
    const drag = (event) => {
      if (!(event.buttons & 1) || !this.x) return;
      const at = within(this.stepUnder(event));
      if (from === null) { goTo(at); return; }
      const [a, b] = [Math.min(from, at), Math.max(from, at)].map(this.x);
      Object.entries({ x: a, width: b - a, y: this.margin.top, height: this.box.clientHeight - this.margin.top - this.margin.bottom }).forEach(([name, value]) => this.choice.setAttribute(name, value));
      this.svg.append(this.choice);
    };
    this.choice = svg('rect', { class: 'choice' });
    this.box.addEventListener('pointerdown', (event) => {
      from = event.shiftKey && this.x ? within(this.stepUnder(event)) : null;
      this.box.setPointerCapture(event.pointerId);
      drag(event);
    });
    this.box.addEventListener('pointermove', drag);
    this.box.addEventListener('pointerup', (event) => {
      const to = from === null ? null : within(this.stepUnder(event));
      this.choice.remove();
      if (to !== null && Math.abs(to - from) > 1) setState({ range: [Math.min(from, to), Math.max(from, to)] });
      from = null;
    });
    this.box.addEventListener('dblclick', () => setState({ range: null }));
  }

  /** Replace what is drawn: series [{run?, name, colour, dash, x, y, faint?, dots?}] on [x0, x1]. */
  show(series, x0, x1, { log = false, y = null } = {}) {
    Object.assign(this, { series, x0, x1, log, range: y ?? this.options.y });
    this.draw();
  }

  draw() {
    this.sizes ??= [this.box.clientWidth, this.box.clientHeight, unit()]; // layout is asked for only when it changed
    const [width, height, u] = this.sizes;
    this.x = null;
    if (!width || !height) return;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    this.dotted = [];
    this.margin = { left: 46 * u, right: 10 * u, top: 6 * u, bottom: (this.options.bare ? 6 : 20) * u };
    const { left, right, top, bottom } = this.margin;
    const range = this.range ?? extentOf(this.series.map((s) => s.y), this.log);
    if (!range || !(this.x1 > this.x0)) {
      this.drawMoving();
      this.svg.append(svg('text', { class: 'empty', x: width / 2, y: height / 2 }, this.empty ?? 'nothing to show'));
      this.svg.setAttribute('aria-label', `${this.options.title}: ${this.empty ?? 'nothing to show'}`);
      return;
    }
    this.x = scaleOf(this.x0, this.x1, left, width - right, false);
    this.y = scaleOf(range[0], range[1], height - bottom, top, this.log);
    this.axes(width, height, range);
    this.svg.setAttribute('aria-label', this.summary());
    const clip = `clip-${this.options.id}`;
    this.svg.append(svg('clipPath', { id: clip }, svg('rect', { x: left, y: 0, width: width - left - right, height: height - bottom + 1 })));
    const columns = Math.max(50, Math.round(width - left - right));
    const curves = svg('g', { 'clip-path': `url(#${clip})` });
    for (const s of this.series) {
      const path = lineThrough(thinned(s.y.length, columns, s.y), (i) => this.x(s.x[i]), (i) => this.y(s.y[i]));
      curves.append(svg('path', { d: path, class: s.faint ? 'curve faint' : s.thin ? 'curve thin' : 'curve', 'data-run': s.run?.index, style: `stroke:${s.colour}`, 'stroke-dasharray': s.faint ? null : svgDashes(s.dash) }));
      for (const i of s.dots ?? []) {
        curves.append(svg('circle', { class: 'knot', 'data-run': s.run?.index, cx: this.x(s.x[i]), cy: this.y(s.y[i]), r: 2 * u, style: `fill:${s.colour}` }));
      }
    }
    for (const [a, b] of this.options.bands ?? []) {
      const [x, end] = [Math.max(left, this.x(a)), Math.min(width - right, this.x(b))];
      if (end > x) this.svg.append(svg('rect', { class: 'band', x, y: top, width: end - x, height: height - top - bottom }, svg('title', {}, `steps ${a}–${b}: the loss between steps was measured`)));
    }
    for (const [step, note] of this.options.scrub ? state.marks : []) {
      if (step < this.x0 || step > this.x1) continue;
      this.svg.append(svg('line', { class: 'mark', x1: this.x(step), x2: this.x(step), y1: top, y2: height - bottom }), svg('text', { class: 'mark-note', x: this.x(step) + 3, y: top + 9 * u }, note));
    }
    this.svg.append(curves);
    if (this.options.scrub) {
      this.dotted = this.series.filter((t) => !(t.faint || t.thin) || t.alone);
      this.at = state.step;
    }
    this.drawMoving();
  }

  axes(width, height, range) {
    const [low, high] = range;
    const { left, right, top, bottom } = this.margin;
    const g = svg('g', { class: 'axes' });
    const text = this.options.yText ?? tickText;
    const [, , u] = this.sizes;
    for (const v of this.options.yTicks ?? ticksOf(low, high, Math.max(2, Math.floor((height - top - bottom) / (22 * u))), this.log)) {
      const y = this.y(v);
      g.append(svg('line', { class: 'rule', x1: left, x2: width - right, y1: y, y2: y }), svg('text', { x: left - 6 * u, y: y + 3.5 * u, 'text-anchor': 'end' }, text(v)));
    }
    for (const v of this.options.bare ? [] : linearTicks(this.x0, this.x1, Math.max(2, Math.min(8, Math.floor(width / (70 * u)))))) {
      g.append(svg('text', { x: this.x(v), y: height - 6 * u, 'text-anchor': 'middle' }, tickText(v)));
    }
    this.svg.append(g);
  }

  /** Move the cursor and the dots to a step. */
  cursor(step) {
    this.at = step;
    this.drawMoving();
    if (document.activeElement === this.box && this.box.matches(':focus-visible')) this.tell();
  }

  /** Draw cursor and dots, where anyone sees them or into a picture. */
  drawMoving(into = null) {
    const [width, height, u] = this.sizes ?? [];
    if (!width || !height || !(this.seen || into)) return;
    const pen = into ?? penOn(this.moving, { width, height }, Math.max(1, devicePixelRatio));
    const { at, x0, x1, margin } = this;
    if (!this.x || at === undefined) return;
    if (at >= x0 && at <= x1) {
      const x = Math.floor(this.x(at)) + 0.5;
      pen.line([[x, margin.top], [x, height - margin.bottom]], { colour: themeColour('quiet') });
    }
    for (const { run, colour, x, y } of this.dotted) {
      const k = stateAt(x, at);
      const place = [this.x(x[k]), k < 0 ? NaN : this.y(y[k])];
      const alpha = this.focus !== null && run && run.index !== this.focus ? 0.12 : 1;
      if (place.every(Number.isFinite)) pen.shape(CIRCLE, ...place, { fill: themeColour(colour.slice(6, -1)), stroke: themeColour('halo'), width: 1.1, scale: (3.2 * u) / CIRCLE_RADIUS, alpha });
    }
  }

  /** Say at the cursor what the curves are there, for those who move it by keys. */
  tell() {
    if (!this.x) return;
    const frame = this.box.getBoundingClientRect();
    this.hover({ clientX: frame.left + this.x(state.step), clientY: frame.top + this.margin.top });
  }

  stepUnder(event) {
    const { left, right } = this.margin;
    const share = (event.clientX - this.box.getBoundingClientRect().left - left) / (this.box.clientWidth - left - right);
    return this.x0 + Math.max(0, Math.min(1, share)) * (this.x1 - this.x0);
  }

  hover(event) {
    if (!this.x) return;
    const value = this.stepUnder(event);
    const rows = this.series.filter((s) => !s.faint || s.alone).map((s) => {
      const index = this.options.scrub ? stateAt(s.x, value) : nearest(s.x, value);
      return index < 0 ? null : [s, s.x[index], (s.raw ?? s.y)[index]];
    }).filter(Boolean);
    if (!rows.length) return;
    const label = this.options.scrub ? `step ${Math.floor(value)}` : `${this.options.xLabel ?? 'x'} ${short(value)}`;
    showTip(this.tip, this.box, event, [el('b', {}, label), ...rows.map(([s, at, v]) =>
      el('div', { class: 'row' }, el('i', { style: `background:${s.colour}` }), el('span', {}, s.run?.path?.span > 1 ? `${s.name}, step ${at}` : s.name), el('span', { class: 'number' }, this.options.tipText?.(v) ?? short(v, 4))))]);
  }

  /** What the curves say, in words. */
  summary() {
    const ends = this.series.filter((s) => !s.faint || s.alone).slice(0, 12).map((s) => {
      const raw = s.raw ?? s.y;
      const last = [...raw].reverse().find(Number.isFinite);
      return `${s.name} ends at ${this.options.tipText?.(last) ?? short(last ?? NaN)}`;
    });
    return `${this.options.title}, from ${short(this.x0)} to ${short(this.x1)}: ${ends.join(', ')}`;
  }

  picture() {
    const [width, height] = this.sizes ?? [this.box.clientWidth, this.box.clientHeight];
    const moving = svg('svg', { viewBox: `0 0 ${width} ${height}` });
    this.drawMoving(new SvgPen(moving));
    return { width, height, layers: [this.svg, moving], title: this.options.title };
  }
}
