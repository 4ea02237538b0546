// What is drawn above the ground with a pen: axes and values of isolines; markers, names and pins.

import { RELIEF } from './camera.js';
import { HALO, groundColour, isDark, themeColour } from './colour.js';
import { percent, tickText } from './format.js';
import { isHidden } from './picking.js';
import { placeLabels } from './labels.js';
import { ARROW, CIRCLE, markerPath } from './markers.js';
import { wideOf } from './pen.js';
import { linearTicks, ticksOf } from './ticks.js';

const MOST_LABELS = 8;
const haloColour = () => HALO[isDark() ? 'dark' : 'light'];

/** What stands above the scene of a land while the camera does; `size` is the height of small text. */
export function drawFixed(pen, land, view) {
  if (!land.terrain.empty) (view.tilt > 0.5 ? drawSpaceAxes : drawMapAxes)(pen, land, view);
  if (!land.terrain.empty) drawIsovalues(pen, land, view);
  drawMeasured(pen, land, view);
  drawOrigin(pen, land, view);
}

/** What moves with the steps, and what was chosen. */
export function drawMoving(pen, land, view) {
  drawMarkers(pen, land);
  drawPins(pen, land, view);
}

const nameOf = ({ short }) => (short.length > 24 ? `${short.slice(0, 23)}…` : short);

/** Where the runs of a land can be drawn while its camera stands: around their paths, with room for their names. */
export function movingArea({ layer: { items }, view, size, pane }) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { drawn, points, feet } of items) {
    for (const [x, y] of drawn.flatMap((i) => [points[i], feet[i]]).map(view.pixel)) {
      if (!Number.isFinite(x + y)) continue;
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
    }
  }
  if (left > right) return pane;
  const wide = 30 * (size / 11) + Math.max(...items.map(({ run }) => wideOf(nameOf(run), { size, weight: 600 })));
  const tall = 48 * (size / 11);
  const low = (v) => Math.max(0, 4 * Math.floor(v / 4)); // whole pixels on any screen
  const high = (v, most) => Math.min(most, 4 * Math.ceil(v / 4));
  const [x, y] = [low(left - wide), low(top - tall)];
  return { x, y, width: Math.max(4, high(right + wide, pane.width) - x), height: Math.max(4, high(bottom + tall, pane.height) - y) };
}

/** The longest title of an axis that takes no more than two fifths of it. */
function axisTitle(pen, { labels, explained, null: chance }, k, room, size) {
  const label = labels[k];
  if (!explained) return label;
  const short = `${label} · ${percent(explained[k])}`;
  const long = `${short} of the movement${chance ? ` (random walk ${percent(chance[k])})` : ''}`;
  return [long, short].find((text) => pen.wide(text, { size, weight: 600 }) < 0.4 * room) ?? label;
}

/** Ticks along the edges of the pane, over the map, as on a sea chart. */
function drawMapAxes(pen, land, view) {
  const { box, pane, size, terrain: { surface } } = land;
  const { x: x0, y: y0, width, height } = pane;
  const [left, top] = box.back(...view.ray(x0, y0).start);
  const [right, bottom] = box.back(...view.ray(x0 + width, y0 + height).start);
  const look = { colour: themeColour('ink'), size, halo: themeColour('paper'), haloWidth: 3, alpha: 0.85 };
  const [xTitle, yTitle] = [width, height].map((room, k) => axisTitle(pen, surface, k, room, size));
  const foot = y0 + height - 6;
  const titleX = pen.wide(xTitle, { size, weight: 600 });
  const titleY = pen.wide(yTitle, { size, weight: 600 });
  const outline = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([a, b]) => view.pixel([a * box.bx, b * box.by, 0]));
  const [[boxLeft, boxBottom], , [boxRight, boxTop]] = outline;
  const faint = { colour: themeColour('quiet'), width: 1, alpha: 0.22 }; // the plane goes on, unmeasured
  pen.line(outline, { colour: themeColour('ink'), width: 1, alpha: 0.25, close: true });
  for (const v of linearTicks(left, right, Math.max(2, width / (size * 10)))) {
    const [px] = view.pixel(box.place(v, 0, 0));
    if (px < boxLeft || px > boxRight) pen.line([[px, y0], [px, y0 + height]], faint);
    else pen.line([[px, y0], [px, Math.max(y0, boxTop)], null, [px, Math.min(y0 + height, boxBottom)], [px, y0 + height]], faint);
    if (px < x0 + 4 * size || px > x0 + width - titleX - 3 * size) continue;
    pen.line([[px, y0 + height], [px, y0 + height - 4]], { colour: look.colour, alpha: 0.6 });
    pen.text(tickText(v), px, foot, { ...look, align: 'center' });
  }
  for (const v of linearTicks(bottom, top, Math.max(2, height / (size * 8)))) {
    const [, py] = view.pixel(box.place(0, v, 0));
    if (py < boxTop || py > boxBottom) pen.line([[x0, py], [x0 + width, py]], faint);
    else pen.line([[x0, py], [Math.max(x0, boxLeft), py], null, [Math.min(x0 + width, boxRight), py], [x0 + width, py]], faint);
    if (py < land.frame.y + titleY + 2 * size || py > y0 + height - 3 * size) continue;
    pen.text(tickText(v), x0 + 7, py + size / 3, look);
  }
  pen.text(xTitle, x0 + width - 10, foot, { ...look, align: 'end', weight: 600 });
  pen.text(yTitle, x0 + 7 + size * 0.75, land.frame.y + titleY, { ...look, weight: 600, turn: -Math.PI / 2 });
}

/** The floor's two near edges and a vertical one with their ticks. */
function drawSpaceAxes(pen, land, view) {
  const { box, size, terrain } = land;
  const { surface, low, top, log } = terrain;
  const corner = (a, b, h = 0) => [a * box.bx, b * box.by, h * RELIEF];
  const look = { colour: themeColour('quiet'), size };
  const rule = { colour: themeColour('quiet'), width: 1, alpha: 0.5 };
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
  const lowest = corners.reduce((best, c) => (view.pixel(corner(...c))[1] > view.pixel(corner(...best))[1] ? c : best));
  pen.line(corners.map((c) => view.pixel(corner(...c))), { ...rule, alpha: 0.25, close: true });
  const centre = view.pixel([0, 0, 0]);
  const outward = (p, distance) => {
    const away = Math.hypot(p[0] - centre[0], p[1] - centre[1]) || 1;
    return [p[0] + (distance * (p[0] - centre[0])) / away, p[1] + (distance * (p[1] - centre[1])) / away];
  };
  const edge = (title, along, from, to) => {
    for (const v of linearTicks(from, to, 5)) {
      if (Math.min(v - from, to - v) < 0.04 * (to - from)) continue; // the corner belongs to both
      const p = view.pixel(along(v));
      pen.line([p, outward(p, 5)], rule);
      const [x, y] = outward(p, 6 + size);
      pen.text(tickText(v), x, y + size / 3, { ...look, align: 'center' });
    }
    const [x, y] = outward(view.pixel(along((from + to) / 2)), 3.4 * size);
    pen.text(title, x, y + size / 3, { ...look, weight: 600, align: 'center' });
  };
  const { alpha, beta, labels } = surface;
  edge(labels[0], (v) => [box.place(v, 0, 0)[0], lowest[1] * box.by, 0], alpha[0], alpha[alpha.length - 1]);
  edge(labels[1], (v) => [lowest[0] * box.bx, box.place(0, v, 0)[1], 0], beta[0], beta[beta.length - 1]);
  if (Math.hypot(...view.pixel(corner(1, 1, 1)).map((v, n) => v - view.pixel(corner(1, 1, 0))[n])) < 60) return;
  const leftmost = corners.reduce((best, c) => (view.pixel(corner(...c))[0] < view.pixel(corner(...best))[0] ? c : best));
  pen.line([view.pixel(corner(...leftmost)), view.pixel(corner(...leftmost, 1))], rule);
  for (const v of ticksOf(low, top, 5, log)) {
    const [x, y] = view.pixel(corner(...leftmost, terrain.height(v)));
    pen.line([[x, y], [x - 5, y]], rule);
    pen.text(tickText(v), x - 8, y + size / 3, { ...look, align: 'end' });
  }
  const [x, y] = view.pixel(corner(...leftmost, 1));
  pen.text(surface.metrics[terrain.metric], x, y - size, { ...look, weight: 600, align: 'center' });
}

/** Values on the isolines, upright, where they are seen and apart from each other. */
function drawIsovalues(pen, land, view) {
  const { box, size, terrain, pane } = land;
  const taken = land.layer.items.flatMap(({ points }) => [points[0], points[points.length - 1]]).map(view.pixel);
  for (const { value, height, places } of land.isolines) {
    for (const { x, y, along } of places) {
      const point = box.place(x, y, height);
      const [px, py] = view.pixel(point);
      if (px < pane.x + 40 || px > pane.x + pane.width - 40 || py < land.frame.y || py > pane.y + pane.height - 30) continue;
      if (taken.some(([a, b]) => Math.hypot(a - px, b - py) < 5 * size) || isHidden(terrain, box, view, [point[0], point[1], point[2] + 0.01])) continue;
      const ahead = view.pixel(box.place(x + 0.01 * along[0], y + 0.01 * along[1], height));
      let turn = Math.atan2(ahead[1] - py, ahead[0] - px);
      if (Math.abs(turn) > Math.PI / 2) turn += Math.PI;
      taken.push([px, py]);
      const ground = groundColour(height);
      pen.text(tickText(value), px, py + size / 3, { colour: themeColour('isovalue'), size: size * 0.92, align: 'center', halo: ground, haloWidth: 4, turn });
    }
  }
}

/** Dots where a surface with a tolerance was measured; elsewhere it is interpolated. */
function drawMeasured(pen, { box, terrain }, view) {
  const { alpha, beta, measured } = terrain.surface;
  if (!measured || view.tilt > 0) return;
  const colour = themeColour('ink');
  for (let k = 0; k < measured.length; k += 1) {
    if (measured[k]) pen.line([view.pixel(box.place(alpha[k % alpha.length], beta[Math.floor(k / alpha.length)], 0)), view.pixel(box.place(alpha[k % alpha.length], beta[Math.floor(k / alpha.length)], 0))], { colour, width: 1.8, alpha: 0.5 });
  }
}

/** What the plane was laid around, where its place is known. */
function drawOrigin(pen, { box, terrain, size }, view) {
  const { around } = terrain.surface;
  const height = around ? terrain.heightOver(0, 0) : NaN;
  if (Number.isNaN(height)) return;
  const [x, y] = view.pixel(box.place(0, 0, height));
  for (const [stroke, width] of [[haloColour(), 2.4], [themeColour('ink'), 1]]) pen.shape('M-6 0H6M0-6V6', x, y, { stroke, width });
  pen.text(around, x + 11, y + size / 3, { colour: themeColour('ink'), size, weight: 600, halo: haloColour() });
}

function drawMarkers(pen, land) {
  const { layer, size, pane, frame, focus } = land;
  const scale = size / 11;
  const here = layer.items.filter((item) => item.at);
  for (const item of here.filter((i) => i.stem && !i.outside)) {
    pen.line([[item.x, item.y], [item.footX, item.footY]], { colour: haloColour(), width: 3 });
    pen.line([[item.x, item.y], [item.footX, item.footY]], { colour: item.colour, width: 1.25 });
    pen.shape(CIRCLE, item.footX, item.footY, { fill: item.colour, stroke: haloColour(), width: 0.75, scale: 0.4 * scale });
  }
  const start = here.find((item) => item.points[0].every(Number.isFinite));
  if (start) {
    const [x, y] = layer.drawn.view.pixel(start.points[0]);
    pen.shape(CIRCLE, x, y, { fill: haloColour(), stroke: themeColour('ink'), width: 1, scale: 0.75 * scale, alpha: isHidden(land.terrain, land.box, layer.drawn.view, start.points[0]) ? 0.75 : 1 });
  }
  for (const item of here) {
    const alpha = focus !== null && focus !== item.run.index ? 0.15 : item.hidden ? 0.75 : 1;
    if (item.outside) {
      const x = Math.max(pane.x + 10, Math.min(pane.x + pane.width - 10, item.x));
      const y = Math.max(frame.y + 10, Math.min(pane.y + pane.height - 10, item.y));
      pen.shape(ARROW, x, y, { fill: item.colour, stroke: haloColour(), width: 1.5, scale: 1.2 * scale, turn: Math.atan2(item.y - y, item.x - x), alpha });
      continue;
    }
    const hollow = item.lost || item.hidden;
    pen.shape(markerPath(item.run), item.x, item.y, { fill: hollow ? haloColour() : item.colour, stroke: hollow ? item.colour : haloColour(), width: 1.75, scale, alpha });
  }
  const named = here.filter((item) => !item.outside);
  const labelled = [...named.filter((i) => i.run.index === focus), ...named.filter((i) => i.run.index !== focus)].slice(0, named.length > MOST_LABELS + 1 ? (focus === null ? MOST_LABELS : MOST_LABELS + 1) : undefined);
  for (const item of labelled) {
    item.text = nameOf(item.run);
    item.wide = pen.wide(item.text, { size, weight: 600 });
  }
  placeLabels(labelled, named, { x: pane.x, y: frame.y, width: pane.width, height: pane.height - frame.y + pane.y }, 13 * scale);
  land.labelled = labelled;
  for (const { box, text, run } of labelled) {
    if (box) pen.text(text, box.x, box.y + 10 * scale, { colour: themeColour('ink'), size, weight: 600, halo: haloColour(), haloWidth: 3.5, alpha: focus !== null && focus !== run.index ? 0.2 : 1 });
  }
}

/** Pinned points, the slice between two of them, and the point that keys choose. */
function drawPins(pen, land, view) {
  if (land.cursor) {
    const { alpha, beta } = land.surface;
    const [px, py] = [alpha[land.cursor.i], beta[land.cursor.j]];
    const [x, y] = view.pixel(land.box.place(px, py, land.terrain.heightOver(px, py) || 0));
    for (const [stroke, width] of [[haloColour(), 2.4], [themeColour('ink'), 1]]) pen.shape('M-9 0H-3M3 0H9M0-9V-3M0 3V9', x, y, { stroke, width });
  }
  const { box, terrain, size } = land;
  const pins = land.pins();
  const colour = themeColour('ink');
  if (pins.length === 2) {
    const points = Array.from({ length: 41 }, (_, k) => {
      const [x, y] = [0, 1].map((n) => pins[0].at[n] + (k / 40) * (pins[1].at[n] - pins[0].at[n]));
      const height = terrain.heightOver(x, y);
      return Number.isNaN(height) ? null : view.pixel(box.place(x, y, height));
    });
    pen.line(points, { colour: haloColour(), width: 4 });
    pen.line(points, { colour, width: 1.5, dash: [2, 3] });
  }
  pins.forEach((pin, k) => {
    const [x, y] = view.pixel(box.place(...pin.at, pin.height));
    pen.shape('M0 0C-3-7-8-9-8-15A8 8 0 1 1 8-15C8-9 3-7 0 0Z', x, y, { fill: colour, stroke: haloColour(), width: 1.5, scale: size / 11, reach: 25 });
    pen.text('AB'[k], x, y - (size / 11) * 11.5, { colour: haloColour(), size: 0.95 * size, weight: 700, align: 'center' });
  });
}

