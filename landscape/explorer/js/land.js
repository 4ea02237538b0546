// One landscape: a scene below, what a pen draws above it, and one camera for both.

import { boxOf, namedCamera, viewOf, wrapped } from './camera.js';
import { content, nearest, surfaces } from './data.js';
import { el } from './dom.js';
import { drawFlat } from './flat.js';
import { Follower } from './follow.js';
import { terrainOf } from './field.js';
import { short } from './format.js';
import { listen } from './gestures.js';
import { isoline, isovalues, labelPlaces } from './isolines.js';
import { drawFixed, drawMoving, movingArea } from './overlay.js';
import { RunLayer } from './paths.js';
import { groundUnder } from './picking.js';
import { pinsOn } from './pins.js';
import { groundTip, runTip, showTip } from './tip.js';
import { Scene } from './scene.js';
import { Plate, Sheet } from './sheets.js';
import { goTo, inFrame, setState, state } from './state.js';
import { Trails, penWhole } from './trails.js';
import { hasWebGL, isSoftware } from './webgl.js';

const REACH = { mouse: 9, pen: 12, touch: 20 };

export class Land {
  /** Set by lands.js: another surface than the state's or why there is none, colours, what it says. */
  given = null; refused = null; bar = null; clear = null; say = null; onPaint = null; end = null;

  follower = new Follower();
  trails = new Trails();

  /** What layout said, until a size changes; for what view the plate was drawn, and where what moves can be in it. */
  extent = null; room = null; still = null; reached = null;

  /** @param {HTMLElement} parent @param {'surface' | 'compare'} field what of the state it shows */
  constructor(parent, field) {
    this.field = field;
    this.layer = new RunLayer();
    this.ground = el('canvas', { class: 'ground', 'aria-hidden': 'true' });
    this.fixed = el('canvas', { class: 'fixed', 'aria-hidden': 'true' });
    this.plate = new Plate(this.fixed);
    this.over = el('canvas', { class: 'runs', 'aria-hidden': 'true' });
    this.sheet = new Sheet(this.over);
    this.tip = el('div', { class: 'tip', hidden: true });
    this.said = el('p', { class: 'hint', role: 'status' });
    this.stage = el('div', { class: 'stage', tabindex: 0, role: 'group', 'aria-roledescription': 'landscape' }, this.ground, this.fixed, this.over, this.tip, this.said);
    this.section = el('section', { class: 'land', 'aria-label': field === 'surface' ? 'landscape' : 'second landscape' }, this.stage);
    parent.append(this.section);
    if (hasWebGL()) {
      this.scene = new Scene(this.ground);
      this.ground.addEventListener('webglcontextrestored', () => { this.scene.build(); this.draw(); });
    }
    this.focus = null;
    this.cursor = null;
    this.stage.addEventListener('pointermove', (event) => this.hover(event));
    this.stage.addEventListener('pointerleave', (event) => { if (event.pointerType !== 'touch') this.tip.hidden = true; });
    listen(this.stage, this);
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  get camera() { return this.follower.camera; }

  get surface() { return this.given ?? surfaces[state[this.field]]; }

  /** Index of the metric that is shown; the second landscape may have one of its own. */
  get metric() {
    const wanted = this.field === 'compare' && state.other >= 0 ? state.other : state.metric;
    return Math.min(wanted, this.surface.metrics.length - 1);
  }

  /** Draw the ground again (another surface, metric, scale, clip or theme). */
  draw() {
    if (!this.surface) return;
    this.terrain = terrainOf(this.surface, this.metric, this.given ? 'linear' : state.scale, state.clip);
    this.box = boxOf(this.surface);
    this.oblique = namedCamera('oblique', this.terrain);
    this.still = null;
    this.isolines = this.terrain.empty ? [] : isovalues(this.terrain).map((value) => {
      const height = this.terrain.height(value);
      const lines = isoline(this.terrain.field, height);
      return { value, height, lines, places: labelPlaces(lines, ...this.scales(), 1.1) };
    });
    this.scene?.show(this.terrain, this.box, this.isolines);
    this.layer.show(this.terrain, this.box, this.scene?.ribbons);
    this.stage.setAttribute('aria-label', this.summary());
    this.render();
  }

  scales() {
    const [a, b] = [this.box.place(0, 0, 0), this.box.place(1, 1, 0)];
    return [b[0] - a[0], b[1] - a[1]];
  }

  summary() {
    const { surface, metric, least, high, empty } = this.terrain;
    const paths = this.layer.items.length;
    return `${surface.metrics[metric]} on ${surface.key}${empty ? ', nothing finite' : `, from ${short(least)} to ${short(high)}`}, with the paths of ${paths} run${paths === 1 ? '' : 's'}. Arrow keys move from point to point, Enter pins one.`;
  }

  /** The camera that the state asks for. */
  wanted() {
    const space = state.view === '3d';
    const [azimuth, elevation, ...window] = state.camera ?? [...this.oblique, 1, 0, 0];
    const [zoom, panX, panY] = space ? window : state.window ?? [1, 0, 0];
    return { azimuth, elevation, tilt: space ? 1 : 0, zoom, panX, panY };
  }

  /** Draw what moves: once now, and on while the camera is under way. */
  render() {
    if (!this.terrain || this.waiting) return;
    this.drawing ??= new Promise((done) => { this.done = done; });
    this.waiting = true;
    inFrame((now) => {
      this.waiting = false;
      const resting = this.follower.follow(this.wanted(), now);
      this.paint();
      if (resting) { this.done(); this.drawing = null; } else this.render();
    });
  }

  paint() {
    this.extent ??= [this.stage.clientWidth, this.stage.clientHeight]; // layout is asked for only when it changed
    const [width, height] = this.extent;
    if (!width || !height) return;
    const dots = Math.min(2, Math.max(1, devicePixelRatio));
    const { resting, sharp } = this.follower;
    this.measure(width, height);
    const [whole, trails] = [this.pensWhole, this.pensTrails].map((pens) => (pens ? null : this.layer));
    this.scene?.draw(this.view, whole, trails, width, height, resting || this.onPaint ? dots : dots * sharp, this.thickness);
    this.bar?.step();
    const still = [...this.view.matrix(width, height), width, height, dots, this.thickness, this.size, this.layer.version, ...Object.values(this.frame)].join();
    if (this.still !== still) {
      this.plate.draw(this.pane, dots, (pen) => this.penFixed(pen));
      this.reached = resting && !this.onPaint ? movingArea(this) : null;
    }
    this.still = resting ? still : null;
    const anywhere = !this.reached || this.onPaint || this.cursor || state.pins.length || this.layer.items.some(({ outside }) => outside);
    this.penMoving(this.sheet.over(anywhere ? this.pane : this.reached, dots), !trails, resting ? still : null, dots);
    this.onPaint?.();
  }

  /** Where everything is at the present camera and step. */
  measure(width, height) {
    const { tilt } = this.camera;
    const inset = (flat, space) => flat + tilt * (space - flat);
    this.room ??= this.clear?.() ?? { top: 0, bottom: 0, size: 11 };
    const { top, bottom, size } = this.room;
    this.size = size;
    this.thickness = (state.talk === 'on' ? 2.1 : 1.5) * Math.max(1, size / 11.5);
    this.pane = { x: 0, y: 0, width, height };
    const sides = inset(1.2, 3.6) * this.size;
    this.frame = { x: sides, y: top + inset(0.6, 1.8) * this.size, width: width - 2 * sides, height: height - top - bottom - inset(2.4, 5.4) * this.size };
    this.view = viewOf(this.box, this.camera, this.frame);
    this.layer.step(state.step, this.view, { x: 0, y: top, width, height: height - top });
  }

  /** Whether a pen may draw where it is faster than WebGL; a film takes the scene whole. */
  get pens() { return !this.scene || (isSoftware() && !this.onPaint); }

  get pensWhole() { return this.pens && this.view.tilt === 0; }

  get pensTrails() { return this.pens && (this.view.tilt === 0 || this.follower.resting); }

  /** What stands while the camera does; without WebGL also the ground. */
  penFixed(pen, ground = !this.scene, paths = this.pensWhole) {
    if (ground) drawFlat(pen, this, this.view);
    if (paths) penWhole(pen, this.layer, this.view, this.thickness);
    drawFixed(pen, this, this.view);
  }

  /** What moves with the steps; with a `key` what is finished of the trails is kept under it. */
  penMoving(pen, paths = this.pensTrails, key = null, dots = 1) {
    const { thickness, pane: { width, height } } = this;
    const behind = paths && this.view.tilt > 0 ? this.scene.hiding(dots) : null;
    if (paths) this.trails.draw(pen, key, this.layer, this.view, { width, height, dots, thickness }, behind);
    drawMoving(pen, this, this.view);
  }

  /** The stage or what stands over it changed its size. */
  resize() {
    [this.room, this.extent] = [null, null];
    if (this.terrain) this.render();
  }

  /** The pixel of data (x, y) and a value on the stage. */
  projector() {
    if (!this.view) return null;
    return (x, y, value) => this.view.pixel(this.box.place(x, y, value === undefined ? 0 : this.terrain.height(value)));
  }

  spot(event) {
    const frame = this.stage.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  /** Nearest stored point under the pointer: {i, j} or null. */
  pointUnder(event) {
    const at = groundUnder(this.terrain, this.box, this.view, ...this.spot(event));
    if (!at) return null;
    const { alpha, beta } = this.surface;
    const [halfX, halfY] = [(alpha[1] - alpha[0]) / 2, (beta[1] - beta[0]) / 2];
    if (at[0] < alpha[0] - halfX || at[0] > alpha[alpha.length - 1] + halfX || at[1] < beta[0] - halfY || at[1] > beta[beta.length - 1] + halfY) return null;
    return { i: nearest(alpha, at[0]), j: nearest(beta, at[1]) };
  }

  hover(event) {
    if (!this.view) return;
    if (event.buttons || event.pointerType === 'touch') { this.tip.hidden = true; return; }
    const near = this.layer.nearest(...this.spot(event), REACH.mouse);
    this.stage.classList.toggle('pick', Boolean(near));
    const point = !near && this.pointUnder(event);
    if (near) showTip(this.tip, this.stage, event, runTip(near.item, near.state));
    else if (point) showTip(this.tip, this.stage, event, groundTip(this.terrain, point));
    else this.tip.hidden = true;
  }

  // What gestures do.
  isMap() { return state.view !== '3d'; }

  isWhole() { return this.isMap() && !state.window; }

  look(patch) {
    const { azimuth, elevation, zoom, panX, panY } = { ...this.wanted(), ...patch };
    const rounded = (list) => list.map((v) => Number(v.toFixed(4)));
    const window = [Math.max(0.5, Math.min(100, zoom)), Math.max(-20, Math.min(20, panX)), Math.max(-20, Math.min(20, panY))];
    if (this.isMap()) setState({ window: rounded(window) });
    else setState({ camera: rounded([wrapped(azimuth), Math.max(-20, Math.min(89, elevation)), ...window]) });
  }

  pan(dx, dy) {
    const { zoom, panX, panY } = this.wanted();
    const scale = (this.view.scale / this.camera.zoom) * zoom;
    this.look({ panX: panX - dx / scale, panY: panY + dy / scale });
  }

  turn(dx, dy) {
    const { azimuth, elevation } = this.wanted();
    this.look({ azimuth: azimuth - 0.35 * dx, elevation: elevation + 0.35 * dy });
  }

  zoom(factor, x = this.frame.x + this.frame.width / 2, y = this.frame.y + this.frame.height / 2) {
    const { zoom, panX, panY } = this.wanted();
    const next = Math.max(0.5, Math.min(100, zoom * factor));
    const before = (this.view.scale / this.camera.zoom) * zoom;
    const change = 1 / ((before * next) / zoom) - 1 / before;
    const [fx, fy] = [this.frame.x + this.frame.width / 2, this.frame.y + this.frame.height / 2];
    this.look({ zoom: next, panX: panX + (fx - x) * change, panY: panY + (y - fy) * change });
  }

  /** The whole box again. */
  fit() { setState(this.isMap() ? { window: null } : { camera: null }); }

  hint() {
    this.said.textContent = 'Hold Ctrl and turn the wheel to zoom';
    clearTimeout(this.fading);
    this.fading = setTimeout(() => { this.said.textContent = ''; }, 1500);
  }

  tap(event) {
    this.before = state.pins;
    const near = this.layer.nearest(...this.spot(event), REACH[event.pointerType] ?? REACH.mouse);
    if (near) {
      goTo(near.item.path.step[near.state]);
      if (event.pointerType === 'touch') showTip(this.tip, this.stage, event, runTip(near.item, near.state));
      return;
    }
    const point = this.pointUnder(event);
    if (point) this.pin(point.j * this.surface.alpha.length + point.i);
  }

  double() {
    setState({ pins: this.before ?? [] });
    this.fit();
  }

  /** Pin a stored point; a pinned one is let go, and a third begins anew. */
  pin(k) {
    setState({ pins: state.pins.includes(k) ? state.pins.filter((other) => other !== k) : state.pins.length > 1 ? [k] : [...state.pins, k] });
  }

  /** Move the point that keys choose, and say what is there. */
  moveCursor(point) {
    this.cursor = point;
    const { alpha, beta } = this.surface;
    const height = this.terrain.heightOver(alpha[point.i], beta[point.j]);
    const [x, y] = this.view.pixel(this.box.place(alpha[point.i], beta[point.j], Number.isNaN(height) ? 0 : height));
    const frame = this.stage.getBoundingClientRect();
    const rows = groundTip(this.terrain, point);
    showTip(this.tip, this.stage, { clientX: frame.left + x, clientY: frame.top + y }, rows);
    this.say?.(rows.filter(Boolean).map((row) => [...row.children].map((part) => part.textContent).join(' ')).join(', '));
    this.render();
  }

  pins() { return pinsOn(this); }

  get title() { return `${content.title}, step ${Math.floor(state.step)}`; }
}
