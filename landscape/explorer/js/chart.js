// A small line chart in SVG: drawn once, after which a step moves only its cursor and dots.

const DASHES = { '-': null, '--': '6 3', '-.': '7 3 1.5 3', ':': '1.5 2.5' };

class Chart {
  /**
   * @param {HTMLElement} parent
   * @param {{id: string, title: string, note?: string, y?: [number, number], yTicks?: number[],
   *   yText?: (v: number) => string, xLabel?: string, scrub?: boolean}} options
   */
  constructor(parent, options) {
    this.options = options;
    this.note = el('span', { class: 'note' }, options.note ?? '');
    this.svg = svg('svg', { role: 'img', 'aria-label': options.title });
    this.tip = el('div', { class: 'tip', hidden: true });
    this.box = el('div', { class: `plot${options.scrub ? ' scrub' : ''}` }, this.svg, this.tip);
    this.panel = el('section', { class: 'panel', id: `panel-${options.id}` },
      el('header', {}, el('h2', {}, options.title), this.note, exportButtons(options.title, () => this.picture())),
      this.box);
    parent.append(this.panel);
    this.series = [];
    this.margin = { left: 46, right: 10, top: 6, bottom: options.bare ? 6 : 20 };
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.box.addEventListener('pointermove', (event) => this.hover(event));
    this.box.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    if (options.scrub) {
      const scrub = (event) => event.buttons & 1 && this.x && goTo(this.stepUnder(event));
      this.box.addEventListener('pointerdown', (event) => { this.box.setPointerCapture(event.pointerId); scrub(event); });
      this.box.addEventListener('pointermove', scrub);
    }
  }

  /** Replace what is drawn: series [{run?, name, colour, dash, x, y, faint?, dots?}] on [x0, x1]. */
  show(series, x0, x1, { log = false, y = null } = {}) {
    Object.assign(this, { series, x0, x1, log, range: y ?? this.options.y });
    this.draw();
  }

  draw() {
    const [width, height] = [this.box.clientWidth, this.box.clientHeight];
    this.x = null;
    if (!width || !height) return;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    const { left, right, top, bottom } = this.margin;
    const range = this.range ?? extentOf(this.series.map((s) => s.y), this.log);
    if (!range || !(this.x1 > this.x0)) {
      this.svg.append(svg('text', { class: 'empty', x: width / 2, y: height / 2 }, this.empty ?? 'nothing to show'));
      return;
    }
    this.x = scaleOf(this.x0, this.x1, left, width - right, false);
    this.y = scaleOf(range[0], range[1], height - bottom, top, this.log);
    this.axes(width, height, range);
    const clip = `clip-${this.options.id}`;
    this.svg.append(svg('clipPath', { id: clip }, svg('rect', { x: left, y: 0, width: width - left - right, height: height - bottom + 1 })));
    const columns = Math.max(50, Math.round(width - left - right));
    const curves = svg('g', { 'clip-path': `url(#${clip})` });
    this.dots = [];
    for (const s of this.series) {
      const path = lineThrough(thinned(s.y.length, columns, s.y), (i) => this.x(s.x[i]), (i) => this.y(s.y[i]));
      curves.append(svg('path', { d: path, class: s.faint ? 'curve faint' : 'curve', 'data-run': s.run?.index, style: `stroke:${s.colour}`, 'stroke-dasharray': s.faint ? null : DASHES[s.dash] }));
      for (const i of s.dots ?? []) {
        curves.append(svg('circle', { class: 'knot', 'data-run': s.run?.index, cx: this.x(s.x[i]), cy: this.y(s.y[i]), r: 2, style: `fill:${s.colour}` }));
      }
    }
    this.cursorLine = svg('line', { class: 'cursor', y1: top, y2: height - bottom, visibility: 'hidden' });
    this.svg.append(this.cursorLine, curves);
    if (this.options.scrub) {
      for (const s of this.series.filter((t) => !t.faint || t.alone)) {
        const dot = svg('circle', { class: 'dot', 'data-run': s.run?.index, r: 3.5, style: `fill:${s.colour}` });
        this.dots.push([dot, s]);
        this.svg.append(dot);
      }
      this.cursor(state.step);
    } else if (this.at !== undefined) this.mark(this.at);
  }

  axes(width, height, [low, high]) {
    const { left, right, top, bottom } = this.margin;
    const g = svg('g', { class: 'axes' });
    const text = this.options.yText ?? tickText;
    for (const v of this.options.yTicks ?? ticksOf(low, high, Math.max(2, Math.floor((height - top - bottom) / 22)), this.log)) {
      const y = this.y(v);
      g.append(svg('line', { class: 'rule', x1: left, x2: width - right, y1: y, y2: y }), svg('text', { x: left - 6, y: y + 3.5, 'text-anchor': 'end' }, text(v)));
    }
    for (const v of this.options.bare ? [] : linearTicks(this.x0, this.x1, Math.max(2, Math.min(8, Math.floor(width / 70))))) {
      g.append(svg('text', { x: this.x(v), y: height - 6, 'text-anchor': 'middle' }, tickText(v)));
    }
    this.svg.append(g);
  }

  /** Move the cursor and the dots to a step: attributes only, nothing is laid out. */
  cursor(step) {
    if (!this.x) return;
    this.mark(step);
    for (const [dot, s] of this.dots) {
      const index = stateAt(s.x, step);
      const y = index < 0 ? NaN : this.y(s.y[index]);
      dot.setAttribute('visibility', Number.isFinite(y) ? 'visible' : 'hidden');
      if (Number.isFinite(y)) dot.setAttribute('transform', `translate(${this.x(s.x[index])} ${y})`);
    }
  }

  /** Put the vertical line at x. */
  mark(value) {
    this.at = value;
    if (!this.x) return;
    this.cursorLine.setAttribute('visibility', value >= this.x0 && value <= this.x1 ? 'visible' : 'hidden');
    this.cursorLine.setAttribute('transform', `translate(${this.x(value)} 0)`);
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
    showTip(this.tip, this.box, event, [el('b', {}, label), ...rows.map(([s, , v]) =>
      el('div', { class: 'row' }, el('i', { style: `background:${s.colour}` }), el('span', {}, s.name), el('span', { class: 'number' }, this.options.tipText?.(v) ?? short(v, 4))))]);
  }

  picture() {
    return { width: this.box.clientWidth, height: this.box.clientHeight, layers: [this.svg], title: this.options.title };
  }
}

/** Index of the element of an increasing array that is nearest to `value`. */
function nearest(values, value) {
  const index = stateAt(values, value);
  if (index < 0) return 0;
  return index + 1 < values.length && values[index + 1] - value < value - values[index] ? index + 1 : index;
}

/** Fill a tooltip and keep it inside its box. */
function showTip(tip, box, event, children) {
  tip.replaceChildren(...children);
  tip.hidden = false;
  const frame = box.getBoundingClientRect();
  const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
  const left = x + 14 + tip.offsetWidth > frame.width ? Math.max(0, x - 14 - tip.offsetWidth) : x + 14;
  tip.style.transform = `translate(${left}px, ${Math.max(-frame.top, Math.min(y + 12, innerHeight - frame.top - tip.offsetHeight - 4))}px)`;
}
