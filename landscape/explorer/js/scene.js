// The scene of one landscape in WebGL: ground, isolines and paths on one canvas with one depth.

import { themeColour, hexToOklch, rgb } from './colour.js';
import { DepthReader } from './depth.js';
import { Ground } from './ground.js';
import { KeptGround } from './kept.js';
import { Ribbons, lineVertices } from './ribbons.js';

const NEARER = 0.0025; // by how much a trail wins against the ground that it touches

export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext('webgl2', { antialias: false, depth: false, alpha: true, premultipliedAlpha: true });
    this.build();
    canvas.addEventListener('webglcontextlost', (event) => event.preventDefault());
  }

  /** Programs and buffers; also after the browser took the context away. */
  build() {
    this.ground = new Ground(this.gl);
    this.ribbons = new Ribbons(this.gl);
    this.kept = new KeptGround(this.gl);
    this.isolines = [];
    this.version = 0;
    /** @type {string | null} what the canvas shows when no trails are on it */ this.alone = null;
    this.reader = null;
    /** @type {{key?: string, at?: (column: number, row: number) => number}} the depth that was read */ this.read = {};
  }

  /** Give back what the browser lends to few scenes at a time. */
  end() { this.gl.getExtension('WEBGL_lose_context')?.loseContext(); }

  show(terrain, box, isolines) {
    this.version += 1;
    this.ground.show(terrain, box);
    this.ground.paint();
    for (const { buffer } of this.isolines) this.gl.deleteBuffer(buffer);
    const points = isolines.flatMap(({ lines, height }) => lines.flatMap((line) => [...line.map(([x, y]) => box.place(x, y, height)), [NaN, NaN, NaN]]));
    const colour = rgb(themeColour('isoline'));
    this.isolines = points.length ? [{ buffer: this.ribbons.buffer(lineVertices(points, () => colour)), count: points.length - 1 }] : [];
    this.strength = hexToOklch(themeColour('isoline'))[0] > 0.5 ? 0.5 : 0.4;
  }

  /**
   * Draw the ground, of a layer of runs the `whole` paths and of one the `trails`; either may be
   * null. Without trails the canvas stays while it can.
   */
  draw(view, whole, trails, width, height, dots, thickness) {
    const { gl, canvas } = this;
    const [w, h] = [Math.round(width * dots), Math.round(height * dots)];
    const matrix = view.matrix(width, height);
    const key = `${matrix.join()}|${w}|${h}|${this.version}|${whole?.version}|${thickness}`;
    if (!trails && this.alone === key) return;
    this.alone = trails ? null : key;
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    gl.viewport(0, 0, w, h);
    this.kept.show(key, w, h, () => {
      this.drawGround(matrix, view, width, height, dots);
      gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      if (view.tilt === 0) gl.disable(gl.DEPTH_TEST); // from straight above nothing hides a path
      whole?.drawWhole(thickness);
      gl.bindVertexArray(null);
    });
    if (!trails) return;
    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    // What hides a trail in the terrain is the depth that was kept with the ground.
    this.ribbons.begin(matrix, width, height, dots, view.scale, this.kept.depth, view.tilt > 0);
    trails.drawGl(view, thickness);
    gl.bindVertexArray(null);
  }

  /** Whether the ground that was drawn last hides a corner [x, y, depth] on the canvas. */
  hiding(dots) {
    const { canvas: { width, height }, kept } = this;
    if (this.read.key !== kept.key) {
      this.reader ??= new DepthReader(this.gl);
      this.read = { key: kept.key, at: this.reader.read(kept.depth, width, height) };
    }
    const { at } = this.read;
    return ([x, y, depth]) => depth - NEARER > at(Math.floor(x * dots), Math.floor(y * dots));
  }

  drawGround(matrix, view, width, height, dots) {
    const { gl } = this;
    gl.clearColor(0, 0, 0, 0);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.disable(gl.BLEND);
    this.ground.draw(matrix, view, dots);
    gl.depthMask(false);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ZERO, gl.ONE);
    this.ribbons.begin(matrix, width, height, dots, view.scale, this.kept.depth);
    for (const { buffer, count } of this.isolines) this.ribbons.draw(buffer, 0, count, { width: 0.9, strength: this.strength, nearer: 0.002 });
  }
}
