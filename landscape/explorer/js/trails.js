// Paths and trails with a pen. While the camera stands, what is finished of a trail is kept as small
// pictures, so that a step draws no more than its end.

import { HALO, isDark } from './colour.js';
import { DASHES, HIDDEN } from './markers.js';
import { CanvasPen } from './pen.js';
import { USUAL } from './paths.js';
import { parted } from './picking.js';

const PIECE = 64; // corners that become one picture
const MOST_SCREENS = 6; // of pixels in all pictures; what is beyond is drawn again at every step
const ONE_COLOUR = 6; // pixels of one colour where colours change along a path

const hex = (share) => Math.round(255 * share).toString(16).padStart(2, '0');

/** Corners [x, y, depth] of places of an item, with their colour where it changes along the path. */
const cornersOf = ({ shares, tints }, view, points, states) => points.map((point, k) => {
  if (!point.every(Number.isFinite)) return null;
  return [...view.pixel(point), view.kept(point), ...(shares.length ? tints(states[k]) : [])];
});

/** Draw a line through corners, in its look or in the colours that its corners have. */
function stroke(pen, { corners, look }) {
  const tinted = corners.find(Boolean)?.length > 3;
  if (!tinted) { pen.line(corners, look); return; }
  let offset = look.offset ?? 0;
  for (let k = 1; k < corners.length; k += 1) {
    const [a, b] = [corners[k - 1], corners[k]];
    if (!a || !b) continue;
    const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
    const count = Math.max(1, Math.ceil(length / ONE_COLOUR));
    const at = (t) => a.map((v, n) => v + t * (b[n] - v));
    for (let n = 0; n < count; n += 1, offset += length / count) {
      const [, , , red, green, blue, strength] = at((n + 0.5) / count);
      const cap = look.dash?.length || strength < 1 ? 'butt' : 'round'; // what is faint must not lie on itself
      pen.line([at(n / count), at((n + 1) / count)], { ...look, offset, cap, alpha: (look.alpha ?? 1) * strength, colour: look.halo ? look.colour : `#${hex(red)}${hex(green)}${hex(blue)}` });
    }
  }
}

/** Corners in seen and hidden ones. @returns {any[][]} */
const split = (corners, behind) => (behind ? parted(corners, behind).parts : [corners, []]);

/** From below: the halos of a trail's dots where the ground hides it and of its line, the line, the dots. */
function strokesOf({ run, colour }, sides, thickness, offset) {
  const [seen, hidden] = sides;
  const [width, grown] = [1.5 * thickness, thickness / USUAL];
  const dashed = (dash) => dash?.filter(Boolean).map((d) => d * grown);
  const halo = HALO[isDark() ? 'dark' : 'light'];
  const dots = dashed(HIDDEN);
  return [
    { corners: hidden, look: { halo: true, colour: halo, width: width + 2 * grown, dash: dots, alpha: 0.7, offset } },
    { corners: seen, look: { halo: true, colour: halo, width: width + 3.4 * grown } },
    { corners: seen, look: { colour, width, dash: dashed(DASHES[run.dash]), offset } },
    { corners: hidden, look: { colour, width, dash: dots, offset } },
  ];
}

/** The whole paths, faint. */
export function penWhole(pen, layer, view, thickness) {
  for (const item of layer.items) {
    const corners = cornersOf(item, view, item.drawn.map((i) => item.points[i]), item.drawn);
    stroke(pen, { corners, look: { colour: item.colour, width: 0.8 * thickness, alpha: 0.55 } });
  }
}

/** The trails up to the step; those of one camera keep what was drawn of them. */
export class Trails {
  /** @type {string | null} */ key = null;
  lines = new Map();
  pixels = 0;

  /**
   * Draw all with a pen on a canvas of `width` × `height` and `dots` to a pixel.
   * @param {string | null} key of what makes them look as they do; null: nothing is kept
   * @param {((corner: number[]) => boolean) | null} behind whether the ground hides a corner
   */
  draw(pen, key, layer, view, { width, height, dots, thickness }, behind = null) {
    if (this.key !== key || key === null) this.forget(key);
    const canvas = key === null ? null : { width: Math.round(width * dots), height: Math.round(height * dots), dots };
    for (const item of layer.items) {
      const trail = layer.trail(item, layer.drawn.step);
      if (!trail) continue;
      const line = this.line(item, view);
      const count = canvas && trail.start === 0 ? Math.floor(trail.to / PIECE) : 0;
      const parts = Array.from({ length: count }, (_, k) => line.pieces[k] ??= this.piece(item, line, k, thickness, behind, canvas));
      parts.push(this.end(item, line, trail, count * PIECE, view, thickness, behind));
      for (const layered of parts[0].keys()) {
        for (const part of parts) {
          const { picture, x, y, ...one } = part[layered];
          if (picture) pen.image(picture, x, y, picture.width / dots, picture.height / dots);
          else if (one.corners?.length) stroke(pen, one);
        }
      }
    }
  }

  /** The corners of an item's path in a view, the way along it to each of them, and its pictures. */
  line(item, view) {
    if (!this.lines.has(item)) {
      const corners = cornersOf(item, view, item.drawn.map((i) => item.points[i]), item.drawn);
      let [length, last] = [0, null];
      const reach = corners.map((corner) => {
        if (corner && last) length += Math.hypot(corner[0] - last[0], corner[1] - last[1]);
        last = corner;
        return length;
      });
      this.lines.set(item, { corners, reach, pieces: [], tail: null });
    }
    return this.lines.get(item);
  }

  /** What a finished piece looks like, as pictures; as lines where there are too many pixels. */
  piece(item, line, k, thickness, behind, canvas) {
    const from = Math.max(0, k * PIECE - (item.shares.length ? 0 : 1)); // the corner between two is drawn by both
    const corners = line.corners.slice(from, (k + 1) * PIECE + 1);
    return strokesOf(item, split(corners, behind), thickness, line.reach[from]).map((one) => this.pictured(one, canvas));
  }

  pictured(one, { width, height, dots }) {
    const places = one.corners.filter(Boolean);
    const edge = one.look.width / 2 + 2;
    const span = (n, most) => {
      const all = places.map((corner) => corner[n]);
      return [Math.max(0, Math.floor((Math.min(...all) - edge) * dots)), Math.min(most, Math.ceil((Math.max(...all) + edge) * dots))];
    };
    const [[left, right], [top, bottom]] = [span(0, width), span(1, height)];
    if (!(right > left && bottom > top)) return {};
    const pixels = (right - left) * (bottom - top);
    if (this.pixels + pixels > MOST_SCREENS * width * height) return one;
    this.pixels += pixels;
    const canvas = new OffscreenCanvas(right - left, bottom - top);
    const context = canvas.getContext('2d');
    context.setTransform(dots, 0, 0, dots, -left, -top);
    stroke(new CanvasPen(context), one);
    return { picture: canvas.transferToImageBitmap(), x: left / dots, y: top / dots };
  }

  /** The unfinished rest of a trail, from drawn corner `first` on. */
  end(item, line, { start, from, to, ends }, first, view, thickness, behind) {
    const { line: [, at], states } = ends[ends.length - 1];
    const tip = cornersOf(item, view, [at], [states[1]]);
    if (start > 0) {
      const [tail] = cornersOf(item, view, [item.points[start]], [start]);
      const inside = line.corners.slice(from, to + 1);
      const offset = inside[0] && tail ? Math.max(0, line.reach[from] - Math.hypot(inside[0][0] - tail[0], inside[0][1] - tail[1])) : 0;
      return strokesOf(item, split([tail, ...inside, ...tip], behind), thickness, offset);
    }
    const begin = Math.max(0, first - (item.shares.length ? 0 : 1));
    return strokesOf(item, this.grown(line, begin, to, tip, behind), thickness, line.reach[begin]);
  }

  /** Seen and hidden of a line from corner `begin` to `to` and its tip; what was found of it is kept while it grows. */
  grown(line, begin, to, tip, behind) {
    if (!behind) return [[...line.corners.slice(begin, to + 1), ...tip], []];
    const { tail } = line;
    const goes = tail && tail.begin === begin && tail.to <= to;
    if (!goes || tail.to < to) line.tail = { begin, to, found: parted(line.corners.slice(goes ? tail.to : begin, to + 1), behind, goes ? tail.found : undefined) };
    return parted([line.corners[to], ...tip], behind, line.tail.found).parts;
  }

  forget(key) {
    for (const { pieces } of this.lines.values()) {
      for (const part of pieces.flat()) part?.picture?.close();
    }
    Object.assign(this, { key, lines: new Map(), pixels: 0 });
  }
}
