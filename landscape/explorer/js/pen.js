// What is drawn over and, without WebGL, instead of the scene: on a canvas, or as SVG to take along.

import { svg } from './dom.js';

export const FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif';
const font = ({ size = 11, weight = 400 }) => `${weight} ${size}px ${FONT}`;

/** Draws on a canvas context whose unit is a CSS pixel. */
export class CanvasPen {
  constructor(context) { this.context = context; }

  /** A line through [x, y] points; null breaks it. */
  line(points, { colour, width = 1, dash = [], offset = 0, alpha = 1, close = false, fill = null }) {
    const { context: c } = this;
    c.globalAlpha = alpha;
    c.setLineDash(dash ?? []);
    c.lineDashOffset = offset;
    Object.assign(c, { strokeStyle: colour, lineWidth: width, lineJoin: 'round', lineCap: dash?.length ? 'butt' : 'round' });
    c.beginPath();
    let pen = false;
    for (const point of points) {
      if (point) c[pen ? 'lineTo' : 'moveTo'](point[0], point[1]);
      pen = Boolean(point);
    }
    if (close) c.closePath();
    if (fill) { c.fillStyle = fill; c.fill(); }
    if (colour) c.stroke();
    c.setLineDash([]);
    c.globalAlpha = 1;
  }

  /** An SVG path string at a place. */
  shape(path, x, y, { fill = null, stroke = null, width = 1, alpha = 1, scale = 1, turn = 0 }) {
    const { context: c } = this;
    const drawn = new Path2D(path);
    c.save();
    c.globalAlpha = alpha;
    c.translate(x, y);
    c.rotate(turn);
    c.scale(scale, scale);
    if (stroke) Object.assign(c, { strokeStyle: stroke, lineWidth: (2 * width) / scale, lineJoin: 'round' });
    if (stroke) c.stroke(drawn);
    if (fill) { c.fillStyle = fill; c.fill(drawn); }
    c.restore();
  }

  text(string, x, y, { colour, size = 11, weight = 400, align = 'start', halo = null, haloWidth = 3, turn = 0, alpha = 1 }) {
    const { context: c } = this;
    c.save();
    c.globalAlpha = alpha;
    c.translate(x, y);
    c.rotate(turn);
    Object.assign(c, { font: font({ size, weight }), textAlign: align, textBaseline: 'alphabetic', lineJoin: 'round', direction: 'ltr' });
    if (halo) { Object.assign(c, { strokeStyle: halo, lineWidth: haloWidth }); c.strokeText(string, 0, 0); }
    c.fillStyle = colour;
    c.fillText(string, 0, 0);
    c.restore();
  }

  image(canvas, x, y, width, height) { this.context.drawImage(canvas, x, y, width, height); }

  /** Draw inside a rectangle only. */
  inside({ x, y, width, height }, draw) {
    this.context.save();
    this.context.beginPath();
    this.context.rect(x, y, width, height);
    this.context.clip();
    draw();
    this.context.restore();
  }

  wide(string, look) { return widthOf(this.context, string, look); }
}

const widths = new Map();
const MOST_WIDTHS = 3000;

/** The width of a text, measured once: that takes longer than drawing it. */
function widthOf(context, string, look) {
  const key = `${font(look)}|${string}`;
  if (!widths.has(key)) {
    if (widths.size >= MOST_WIDTHS) widths.clear();
    context.font = font(look);
    widths.set(key, context.measureText(string).width);
  }
  return widths.get(key);
}

/** A pen on a canvas that was emptied, in CSS pixels. */
export function penOn(canvas, width, height, dots) {
  const [w, h] = [Math.round(width * dots), Math.round(height * dots)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext('2d');
  context.setTransform(dots, 0, 0, dots, 0, 0);
  context.clearRect(0, 0, width, height);
  return new CanvasPen(context);
}

/** Draws the same as SVG elements. */
export class SvgPen {
  static count = 0;

  constructor(group) {
    this.group = group;
    this.measuring = document.createElement('canvas').getContext('2d');
  }

  add(tag, attributes, ...children) { this.group.append(svg(tag, attributes, ...children)); }

  line(points, { colour, width = 1, dash = [], offset = 0, alpha = 1, close = false, fill = null }) {
    let d = '';
    let pen = 'M';
    for (const point of points) {
      if (point) d += `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
      pen = point ? 'L' : 'M';
    }
    if (d) this.add('path', { d: close ? `${d}Z` : d, fill: fill ?? 'none', stroke: colour, 'stroke-width': width, 'stroke-dasharray': dash?.length ? dash.join(' ') : null, 'stroke-dashoffset': dash?.length && offset ? offset : null, 'stroke-linejoin': 'round', opacity: alpha });
  }

  shape(path, x, y, { fill = null, stroke = null, width = 1, alpha = 1, scale = 1, turn = 0 }) {
    this.add('path', {
      d: path, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${((turn * 180) / Math.PI).toFixed(1)}) scale(${scale})`,
      fill: fill ?? 'none', stroke, 'stroke-width': (2 * width) / scale, 'paint-order': 'stroke', 'stroke-linejoin': 'round', opacity: alpha,
    });
  }

  text(string, x, y, { colour, size = 11, weight = 400, align = 'start', halo = null, haloWidth = 3, turn = 0, alpha = 1 }) {
    this.add('text', {
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${((turn * 180) / Math.PI).toFixed(1)})`, fill: colour, 'font-size': size, 'font-weight': weight, 'font-family': FONT.replaceAll('"', "'"),
      'text-anchor': { start: 'start', center: 'middle', end: 'end' }[align], stroke: halo, 'stroke-width': haloWidth, 'paint-order': 'stroke', 'stroke-linejoin': 'round', opacity: alpha,
    }, string);
  }

  image(canvas, x, y, width, height) { this.add('image', { href: canvas.toDataURL('image/png'), x, y, width, height, preserveAspectRatio: 'none' }); }

  inside(frame, draw) {
    const id = `inside-${(SvgPen.count += 1)}`;
    const outer = this.group;
    const inner = svg('g', { 'clip-path': `url(#${id})` });
    outer.append(svg('clipPath', { id }, svg('rect', { x: frame.x, y: frame.y, width: frame.width, height: frame.height })), inner);
    this.group = inner;
    draw();
    this.group = outer;
  }

  wide(string, look) { return widthOf(this.measuring, string, look); }
}
