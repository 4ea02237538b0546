// Pictures and clips of the landscape, pictures of panels, and the curves as CSV.

import { allSteps, content, firstStep, lastStep, pathOf, stateAt, stepsOf, surfaces } from './data.js';
import { el, svg } from './dom.js';
import { runColour, themeColour } from './colour.js';
import { markerPath } from './markers.js';
import { CanvasPen, FONT, SvgPen } from './pen.js';
import { state, visibleRuns } from './state.js';

const INLINED = ['fill', 'fill-opacity', 'stroke', 'stroke-width', 'stroke-opacity', 'stroke-dasharray', 'stroke-linejoin', 'stroke-linecap', 'opacity', 'visibility', 'font-size', 'font-family', 'font-weight', 'text-anchor', 'paint-order', 'font-variant-numeric'];

/** A copy of an SVG whose look no longer depends on this page. */
function standalone(node) {
  const copy = node.cloneNode(true);
  const [from, to] = [[node, ...node.querySelectorAll('*')], [copy, ...copy.querySelectorAll('*')]];
  from.forEach((original, k) => {
    const look = getComputedStyle(original);
    to[k].removeAttribute('style');
    for (const name of INLINED) {
      const value = look.getPropertyValue(name);
      if (value) to[k].style.setProperty(name, value);
    }
  });
  return copy;
}

/** Title and visible runs above a picture, in as many rows as they need; returns their height. */
function drawHead(pen, title, width) {
  const ink = themeColour('ink');
  pen.text(title, 8, 17, { colour: ink, size: 11, weight: 600 });
  let [x, y] = [8 + pen.wide(title, { weight: 600 }) + 16, 17];
  for (const run of visibleRuns()) {
    const wide = 9 + pen.wide(run.short, {}) + 16;
    if (x + wide > width) [x, y] = [12, y + 16];
    pen.shape(markerPath(run), x, y - 4, { fill: runColour(run), scale: 0.8 });
    pen.text(run.short, x + 9, y, { colour: ink });
    x += wide;
  }
  return y + 9;
}

/** A land as a canvas, `scale` pixels to a CSS pixel, with its title and runs above. */
export function landCanvas(land, scale) {
  const [width, height] = [land.stage.clientWidth, land.stage.clientHeight];
  const probe = new CanvasPen(el('canvas').getContext('2d'));
  const top = drawHead(probe, land.title, width);
  const canvas = el('canvas', { width: Math.round(width * scale), height: Math.round((height + top) * scale) });
  const context = canvas.getContext('2d');
  const pen = new CanvasPen(context);
  context.scale(scale, scale);
  context.fillStyle = themeColour('paper');
  context.fillRect(0, 0, width, height + top);
  drawHead(pen, land.title, width);
  context.translate(0, top);
  if (land.scene) {
    land.scene.draw(land.view, land.layer, land.layer, width, height, scale, land.thickness);
    context.drawImage(land.ground, 0, 0, width, height);
  }
  land.penFixed(pen, !land.scene, !land.scene);
  land.penMoving(pen, !land.scene);
  land.paint();
  return canvas;
}

/** A land as SVG text: the map all in lines, the terrain as a picture under them. */
export function landSvg(land) {
  const [width, height] = [land.stage.clientWidth, land.stage.clientHeight];
  const body = svg('g', {});
  const head = svg('g', {});
  const top = drawHead(new SvgPen(head), land.title, width);
  body.setAttribute('transform', `translate(0 ${top})`);
  const pen = new SvgPen(body);
  const space = land.scene && land.view.tilt > 0;
  if (space) {
    land.scene.draw(land.view, land.layer, land.layer, width, height, 2, land.thickness);
    pen.image(land.ground, 0, 0, width, height);
  }
  land.penFixed(pen, !space, !space);
  land.penMoving(pen, !space);
  land.paint();
  const whole = svg('svg', { xmlns: 'http://www.w3.org/2000/svg', width, height: height + top, viewBox: `0 0 ${width} ${height + top}` },
    svg('rect', { width, height: height + top, fill: themeColour('paper') }), head, body);
  return new XMLSerializer().serializeToString(whole);
}

/** The SVG text of a panel. */
function panelSvg({ title, layers, width, height }) {
  const head = svg('g', { 'font-family': FONT.replaceAll('"', "'") });
  const top = drawHead(new SvgPen(head), title, width);
  const whole = svg('svg', { xmlns: 'http://www.w3.org/2000/svg', width, height: height + top, viewBox: `0 0 ${width} ${height + top}` },
    svg('rect', { width, height: height + top, fill: themeColour('paper') }), head);
  for (const layer of layers) {
    const copy = standalone(layer);
    Object.entries({ y: top, width, height }).forEach(([name, value]) => copy.setAttribute(name, value));
    whole.append(copy);
  }
  return new XMLSerializer().serializeToString(whole);
}

const pngOf = (canvas) => new Promise((done) => { canvas.toBlob(done, 'image/png'); });

async function panelBlob(picture, format) {
  const text = panelSvg(picture);
  if (format === 'svg') return new Blob([text], { type: 'image/svg+xml' });
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = el('canvas', { width: 2 * image.naturalWidth, height: 2 * image.naturalHeight });
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  return pngOf(canvas);
}

/** Save a land as png (2×), png4 (4×) or svg. */
export async function saveLand(land, format) {
  const blob = format === 'svg' ? new Blob([landSvg(land)], { type: 'image/svg+xml' }) : await pngOf(landCanvas(land, format === 'png4' ? 4 : 2));
  download(blob, `${slug(content.title)}-step-${Math.floor(state.step)}.${format.slice(0, 3)}`);
}

/** Film a land while `player` plays the chosen range once; resolves to the clip (WebM). */
export async function filmLand(land, player) {
  const [width, height] = [land.fixed.width, land.fixed.height].map((v) => 2 * Math.round(v / 2)); // as sharp as the screen
  const canvas = el('canvas', { width, height });
  const context = canvas.getContext('2d');
  const compose = () => {
    context.fillStyle = themeColour('paper');
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const layer of [...(land.scene ? [land.ground] : []), land.fixed, land.over]) context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  };
  const type = ['video/webm;codecs=vp9', 'video/webm;codecs=vp8', 'video/webm'].find((t) => MediaRecorder.isTypeSupported(t));
  if (!type) throw new Error('this browser cannot record WebM');
  const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: type, videoBitsPerSecond: 8e6 });
  const parts = [];
  recorder.addEventListener('dataavailable', (event) => parts.push(event.data));
  const ended = new Promise((done) => { recorder.addEventListener('stop', done); });
  land.onPaint = compose;
  land.paint();
  recorder.start();
  await player.once(...(state.range ?? [firstStep, lastStep]));
  await new Promise((done) => { setTimeout(done, 400); });
  recorder.stop();
  await ended;
  land.onPaint = null;
  return new Blob(parts, { type: 'video/webm' });
}

export function download(blob, name) {
  const link = el('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 60) || 'landscape';

export function exportButtons(title, picture) {
  return el('span', { class: 'export' }, ...['png', 'svg'].map((format) => el('button', {
    type: 'button', class: 'quiet', 'data-format': format, 'aria-label': `save ${title} as ${format.toUpperCase()}`,
    onclick: async () => download(await panelBlob(picture(), format), `${slug(title)}-step-${Math.floor(state.step)}.${format}`),
  }, format.toUpperCase())));
}

const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csvNumber = (value) => (value === undefined ? '' : Number.isFinite(value) ? String(Number(value.toPrecision(8))) : Number.isNaN(value) ? '' : String(value));

/** The curves of the visible runs: one row per run and recorded step. */
export function curvesCsv() {
  const rows = [['run', 'step', 'loss', 'mini_batch_loss', 'in_plane_loss', 'off_plane', 'cosine', 'distance', 'update_norm', 'learning_rate']];
  for (const run of visibleRuns()) {
    const plane = pathOf(surfaces[state.surface], run);
    const at = (columns, name, step) => {
      const index = columns?.[name] ? stateAt(stepsOf(columns, name), step) : -1;
      return index >= 0 && stepsOf(columns, name)[index] === step ? csvNumber(columns[name][index]) : '';
    };
    const steps = [...new Set([run.path, run.measured, plane].flatMap((columns) => (columns ? allSteps(columns) : [])))].sort((a, b) => a - b);
    for (const step of steps) {
      rows.push([quoted(run.name), step, at(run.measured, 'loss', step), at(run.path, 'losses', step), at(plane, 'inPlane', step), at(plane, 'residual', step),
        ...['cosine', 'distance', 'update_norm', 'learning_rate'].map((name) => at(run.path, name, step))]);
    }
  }
  return `${rows.map((row) => row.join(',')).join('\r\n')}\r\n`;
}
