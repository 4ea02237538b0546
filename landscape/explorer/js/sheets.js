// Canvases on the screen that a pen draws again and again, or once.

import { CanvasPen } from './pen.js';

const pens = new WeakMap();

/** A pen on a canvas that was emptied; the canvas shows `area` of what is drawn, in CSS pixels. */
export function penOn(canvas, { x = 0, y = 0, width, height }, dots) {
  const place = [x, y, width, height, dots].join();
  let known = pens.get(canvas);
  if (known?.place !== place) {
    const [w, h] = [Math.round(width * dots), Math.round(height * dots)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    known = { place, pen: new CanvasPen(known?.pen.context ?? canvas.getContext('2d'), dots) };
    known.pen.context.setTransform(dots, 0, 0, dots, -x * dots, -y * dots);
    pens.set(canvas, known);
  }
  known.pen.context.clearRect(x, y, width, height);
  return known.pen;
}

/**
 * A canvas that is drawn as a whole and then stands: unlike one that was drawn on it is not given to
 * the screen again whenever another one changes.
 */
export class Plate {
  paper = new OffscreenCanvas(1, 1);

  constructor(canvas) { this.canvas = canvas; }

  /** Show what `act(pen)` draws of an area, in CSS pixels. */
  draw(area, dots, act) {
    act(penOn(this.paper, area, dots));
    const { canvas, paper: { width, height } } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext('bitmaprenderer').transferFromImageBitmap(this.paper.transferToImageBitmap());
  }
}

/** A canvas that covers no more than what moves: all of it is given to the screen at every step. */
export class Sheet {
  place = '';

  constructor(canvas) { this.canvas = canvas; }

  /** A pen on it, emptied and laid over an area, in CSS pixels. */
  over(area, dots) {
    const { x, y, width, height } = area;
    const place = `left:${x}px;top:${y}px;width:${width}px;height:${height}px`;
    if (this.place !== place) this.canvas.style.cssText = this.place = place;
    return penOn(this.canvas, area, dots);
  }
}
