// What is drawn over and, without WebGL, instead of the scene: on a canvas, or as SVG to take along.

import { svg } from './dom.js';

export const FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif';
const font = ({ size = 11, weight = 400 }) => `${weight} ${size}px ${FONT}`;

const MOST_KNOWN = 500;
const [stamps, widths, shapes] = [new Map(), new Map(), new Map()];
let measuring = null;

/** What `make` made of a key before, or makes now. */
function remembered(known, key, make) {
  if (!known.has(key)) {
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(key, make());
  }
  return known.get(key);
}

/** How wide a text is, in CSS pixels. */
export function wideOf(string, look) {
  return remembered(widths, font(look) + string, () => {
    measuring ??= document.createElement('canvas').getContext('2d');
    measuring.font = font(look);
    return measuring.measureText(string).width;
  });
}

/** Draws on a canvas context whose unit is a CSS pixel. */
export class CanvasPen {
  /** @param {any} context @param {number} dots pixels to a unit of a canvas that is drawn again and again; else 0 */
  constructor(context, dots = 0) {
    this.context = context;
    this.dots = dots;
  }

  /** A line through [x, y] points; null breaks it. */
  line(points, { colour, width = 1, dash = [], offset = 0, cap = dash?.length ? 'butt' : 'round', alpha = 1, close = false, fill = null }) {
    const { context: c } = this;
    c.globalAlpha = alpha;
    c.setLineDash(dash ?? []);
    c.lineDashOffset = offset;
    Object.assign(c, { strokeStyle: colour, lineWidth: width, lineJoin: 'round', lineCap: cap });
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

  /** An SVG path string at a place, no further from it than `reach`. */
  shape(path, x, y, look) {
    const { fill = null, stroke = null, width = 1, alpha = 1, scale = 1, turn = 0, reach = 10 } = look;
    const { context: c } = this;
    if (this.dots && !turn) {
      const room = Math.ceil(reach * scale + 2 * width);
      this.stamp([path, fill, stroke, width, scale, room], x - room, y - room, [2 * room, 2 * room, alpha], (pen) => pen.shape(path, room, room, { ...look, alpha: 1 }));
      return;
    }
    const drawn = remembered(shapes, path, () => new Path2D(path));
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

  text(string, x, y, look) {
    const { colour, size = 11, weight = 400, align = 'start', halo = null, haloWidth = 3, turn = 0, alpha = 1 } = look;
    const { context: c, dots } = this;
    if (dots && !turn && align === 'start') {
      const room = Math.ceil(size);
      const [left, top] = [x - room, y - 2 * room].map((v) => Math.round(v * dots) / dots); // letters lie on whole pixels
      this.stamp([string, colour, font(look), halo, haloWidth], left, top, [this.wide(string, look) + 2 * room, 3 * room, alpha], (pen) => pen.text(string, room, 2 * room, { ...look, alpha: 1 }));
      return;
    }
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

  /** What was drawn before is a picture: no fonts, no outlines. */
  stamp(key, x, y, [width, height, alpha], draw) {
    const { context: c, dots } = this;
    const picture = remembered(stamps, `${dots}|${key.join('|')}`, () => {
      const canvas = new OffscreenCanvas(Math.ceil(width * dots), Math.ceil(height * dots));
      const context = canvas.getContext('2d');
      context.scale(dots, dots);
      draw(new CanvasPen(context));
      return canvas.transferToImageBitmap();
    });
    c.globalAlpha = alpha;
    c.drawImage(picture, x, y, picture.width / dots, picture.height / dots);
    c.globalAlpha = 1;
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

  wide(string, look) { return wideOf(string, look); }
}

/** Draws the same as SVG elements. */
export class SvgPen {
  static count = 0;

  constructor(group) {
    this.group = group;
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

  wide(string, look) { return wideOf(string, look); }
}
