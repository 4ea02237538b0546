// What lies under a pixel, and what hides a point: rays against the height field.

import { heightAt } from './field.js';
import { RELIEF } from './camera.js';

const MARCH = 260;

/** The ground's height in the scene at a point of the scene; NaN beside it. */
const groundAt = (terrain, box, [X, Y]) => RELIEF * heightAt(terrain.field, ...box.back(X, Y));

const pointOn = ({ start, way }, t) => start.map((s, n) => s + t * way[n]);

/** Data coordinates [x, y] where the ray through a pixel first meets the ground, or null. */
export function groundUnder(terrain, box, view, px, py) {
  const ray = view.ray(px, py);
  if (view.tilt === 0) return box.back(...ray.start);
  const over = (t) => {
    const p = pointOn(ray, t);
    return p[2] - groundAt(terrain, box, p);
  };
  let before = NaN;
  for (let k = 0; k <= MARCH; k += 1) {
    const t = ray.reach * ((2 * k) / MARCH - 1);
    const now = over(t);
    if (before * now <= 0) {
      let [low, high] = [t - (2 * ray.reach) / MARCH, t];
      for (let n = 0; n < 24; n += 1) {
        const middle = (low + high) / 2;
        if (over(low) * over(middle) <= 0) high = middle;
        else low = middle;
      }
      return box.back(...pointOn(ray, high));
    }
    before = now;
  }
  return null;
}

/** Whether the ground lies between the eye and a point of the scene. */
export function isHidden(terrain, box, view, point) {
  if (view.tilt === 0) return false;
  const ray = view.ray(...view.pixel(point));
  const own = view.depth(point);
  const step = 0.02;
  let side = 0; // of the ground: above, below, or not yet known
  for (let t = own; t > -ray.reach; t -= step) {
    const p = pointOn(ray, t);
    if (Math.abs(p[0]) > box.bx || Math.abs(p[1]) > box.by) return false;
    const over = p[2] - groundAt(terrain, box, p);
    if (Number.isNaN(over)) continue;
    if (side && Math.sign(over) !== side) return true;
    if (Math.abs(over) > 0.004) side = Math.sign(over);
  }
  return false;
}

const APART = 2; // pixels between the places of a line that are looked at

/**
 * A line through corners [x, y, depth, …] in what is seen of it and what is `behind` the ground;
 * null breaks a line. What corners hold besides changes evenly between them.
 * @param {(number[] | null)[]} corners @param {(corner: number[]) => boolean} behind
 * @param {{parts: (number[] | null)[][], last: number}} before what was found of the line up to here
 * @returns {{parts: (number[] | null)[][], last: number}} parts: [seen, hidden]; last: on which the line ends
 */
export function parted(corners, behind, before = { parts: [[], []], last: -1 }) {
  const parts = before.parts.map((part) => [...part]);
  let { last } = before;
  const add = (side, from, to) => {
    if (side !== last) parts[side].push(null, from);
    parts[side].push(to);
    last = side;
  };
  for (let k = 1; k < corners.length; k += 1) {
    const [a, b] = [corners[k - 1], corners[k]];
    if (!a || !b) { last = -1; continue; }
    const count = Math.max(1, Math.ceil(Math.hypot(b[0] - a[0], b[1] - a[1]) / APART));
    const at = (t) => a.map((v, n) => v + t * (b[n] - v));
    let [from, side] = [a, Number(behind(at(0.5 / count)))];
    for (let n = 1; n < count; n += 1) {
      const now = Number(behind(at((n + 0.5) / count)));
      if (now === side) continue;
      const border = at(n / count);
      add(side, from, border);
      [from, side] = [border, now];
    }
    add(side, from, b);
  }
  return { parts, last };
}
