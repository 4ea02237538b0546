// The map on a 2-D canvas, for browsers without WebGL and for SVG: the same field, isolines and paths.

import { groundColour, rgb, themeColour } from './colour.js';

/** The field as an image, one texel per node of its grid. */
export function fieldImage({ field: { z, width, tall }, empty }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height: tall });
  if (empty) return canvas;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, tall);
  const colours = Array.from({ length: 256 }, (_, k) => rgb(groundColour(k / 255)).map((v) => Math.round(255 * v)));
  for (let j = 0; j < tall; j += 1) {
    for (let i = 0; i < width; i += 1) {
      const h = z[j * width + i];
      if (!Number.isNaN(h)) image.data.set([...colours[Math.round(255 * h)], 255], 4 * ((tall - 1 - j) * width + i));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Draw ground and isolines of a land with a pen; the paths follow. */
export function drawFlat(pen, land, view) {
  const { terrain, box, isolines } = land;
  const [left, top] = view.pixel([-box.bx, box.by, 0]);
  const [right, bottom] = view.pixel([box.bx, -box.by, 0]);
  const [dx, dy] = [(right - left) / (terrain.field.width - 1) / 2, (bottom - top) / (terrain.field.tall - 1) / 2];
  pen.inside({ x: left, y: top, width: right - left, height: bottom - top }, () => {
    for (let x = left - (bottom - top); x < right; x += 8) pen.line([[x, bottom], [x + bottom - top, top]], { colour: themeColour('hatch') });
    // A texel's middle is a node: the outer half of the outer texels lies outside.
    pen.image(fieldImage(terrain), left - dx, top - dy, right - left + 2 * dx, bottom - top + 2 * dy);
    for (const { lines } of isolines) {
      for (const line of lines) pen.line(line.map(([x, y]) => view.pixel(box.place(x, y, 0))), { colour: themeColour('isoline'), width: 0.9, alpha: 0.55 });
    }
  });
}
