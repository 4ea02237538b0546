// The scene of one landscape in WebGL: ground, isolines and paths on one canvas with one depth.

import { themeColour, hexToOklch, rgb } from './colour.js';
import { Ground } from './ground.js';
import { KeptGround } from './kept.js';
import { Ribbons, lineVertices } from './ribbons.js';

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
    /** @type {string | null} what the canvas shows when that is the ground alone */ this.alone = null;
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

  /** Draw the ground and, of a layer of runs, the paths; without one the canvas stays while it can. */
  draw(view, layer, width, height, dots, thickness) {
    const { gl, canvas } = this;
    const [w, h] = [Math.round(width * dots), Math.round(height * dots)];
    const matrix = view.matrix(width, height);
    const key = `${matrix.join()}|${w}|${h}|${this.version}|${layer?.version}|${thickness}`;
    if (!layer && this.alone === key) return;
    this.alone = layer ? null : key;
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    gl.viewport(0, 0, w, h);
    this.kept.show(key, w, h, () => {
      this.drawGround(matrix, view, width, height, dots);
      gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      if (view.tilt === 0) gl.disable(gl.DEPTH_TEST); // from straight above nothing hides a path
      layer?.drawWhole(thickness);
      gl.bindVertexArray(null);
    });
    if (!layer) return;
    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    // What hides a trail in the terrain is the depth that was kept with the ground.
    this.ribbons.begin(matrix, width, height, dots, view.scale, this.kept.depth, view.tilt > 0);
    layer.drawGl(view, thickness);
    gl.bindVertexArray(null);
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
