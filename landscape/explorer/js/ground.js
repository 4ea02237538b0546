// The height field in WebGL: a lit, coloured mesh, and hatching where nothing was measured.

import { RELIEF } from './camera.js';
import { groundColour, rgb, themeColour } from './colour.js';
import { filledBuffer, programOf } from './webgl.js';

const GROUND_VERTEX = `
layout(location = 0) in vec3 place;
layout(location = 1) in vec2 slope;
uniform mat4 matrix;
out float height;
out vec2 tilted;
void main() {
  height = place.z / ${RELIEF.toFixed(3)};
  tilted = slope;
  gl_Position = matrix * vec4(place, 1.0);
}`;

const GROUND_FRAGMENT = `
in float height;
in vec2 tilted;
uniform sampler2D ramp;
uniform vec3 light;
uniform float strength;
out vec4 colour;
void main() {
  vec3 normal = normalize(vec3(-tilted, 1.0));
  float lit = dot(normal, light) / light.z; // one on level ground
  float shade = 1.0 + strength * (lit - 1.0) / (1.0 + 0.6 * abs(lit - 1.0));
  vec3 seen = texture(ramp, vec2(clamp(height, 0.0, 1.0) * 0.998 + 0.001, 0.5)).rgb * clamp(shade, 0.45, 1.12);
  if (!gl_FrontFacing) seen *= 0.55;
  colour = vec4(seen, 1.0);
}`;

const HATCH = `
in float height;
in vec2 tilted;
uniform vec3 line;
uniform float spacing;
out vec4 colour;
void main() {
  float across = mod(gl_FragCoord.x + gl_FragCoord.y, spacing);
  if (across > spacing * 0.22) discard;
  colour = vec4(line, 1.0);
}`;

export class Ground {
  constructor(gl) {
    this.gl = gl;
    this.solid = programOf(gl, GROUND_VERTEX, GROUND_FRAGMENT);
    this.hatch = programOf(gl, GROUND_VERTEX, HATCH);
    this.ramp = gl.createTexture();
  }

  /** Take over the mesh of a terrain in its box. */
  show({ field, empty, surface, values }, box) {
    const { x, y, z, width, tall } = field;
    const data = new Float32Array(5 * width * tall);
    const triangles = [];
    const slope = (k, before, after, distance) => {
      const [a, b] = [z[before], z[after]];
      const [p, q] = [Number.isNaN(a) ? z[k] : a, Number.isNaN(b) ? z[k] : b];
      return (RELIEF * (q - p)) / distance || 0;
    };
    for (let j = 0; j < tall; j += 1) {
      for (let i = 0; i < width; i += 1) {
        const k = j * width + i;
        const [left, right, below, above] = [i ? k - 1 : k, i < width - 1 ? k + 1 : k, j ? k - width : k, j < tall - 1 ? k + width : k];
        const here = box.place(x[i], y[j], Number.isNaN(z[k]) ? 0 : z[k]);
        const dx = box.place(x[right % width], 0, 0)[0] - box.place(x[left % width], 0, 0)[0];
        const dy = box.place(0, y[Math.floor(above / width)], 0)[1] - box.place(0, y[Math.floor(below / width)], 0)[1];
        data.set([...here, slope(k, left, right, dx), slope(k, below, above, dy)], 5 * k);
        if (i === width - 1 || j === tall - 1 || empty) continue;
        if (!Number.isNaN(z[k] + z[k + 1] + z[k + width] + z[k + width + 1])) {
          triangles.push(k, k + 1, k + width, k + 1, k + width + 1, k + width);
        }
      }
    }
    this.mesh = this.arrayOf(data, new Uint32Array(triangles), this.mesh);
    const holes = holesOf(surface, values, box);
    this.holes = this.arrayOf(new Float32Array(holes.data), new Uint32Array(holes.triangles), this.holes);
  }

  arrayOf(data, triangles, old) {
    const { gl } = this;
    const made = old ?? { array: gl.createVertexArray() };
    gl.bindVertexArray(made.array);
    made.data = filledBuffer(gl, data, made.data);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 20, 0);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 2, gl.FLOAT, false, 20, 12);
    made.triangles = filledBuffer(gl, triangles, made.triangles, gl.ELEMENT_ARRAY_BUFFER);
    gl.bindVertexArray(null);
    made.count = triangles.length;
    return made;
  }

  /** Take over the colours of the theme. */
  paint() {
    const { gl } = this;
    const texels = Uint8Array.from({ length: 4 * 256 }, (_, k) => (k % 4 === 3 ? 255 : 255 * rgb(groundColour(Math.floor(k / 4) / 255))[k % 4]));
    gl.bindTexture(gl.TEXTURE_2D, this.ramp);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  }

  draw(matrix, view, dots) {
    const { gl } = this;
    gl.useProgram(this.solid.program);
    gl.bindTexture(gl.TEXTURE_2D, this.ramp);
    gl.uniformMatrix4fv(this.solid.uniforms.matrix, false, matrix);
    gl.uniform3fv(this.solid.uniforms.light, lightOf(view));
    gl.uniform1f(this.solid.uniforms.strength, 0.34 + 0.26 * view.tilt);
    this.drawn(this.mesh);
    gl.useProgram(this.hatch.program);
    gl.uniformMatrix4fv(this.hatch.uniforms.matrix, false, matrix);
    gl.uniform3fv(this.hatch.uniforms.line, rgb(themeColour('hatch')));
    gl.uniform1f(this.hatch.uniforms.spacing, 8 * dots);
    this.drawn(this.holes);
  }

  drawn({ array, count }) {
    if (!count) return;
    this.gl.bindVertexArray(array);
    this.gl.drawElements(this.gl.TRIANGLES, count, this.gl.UNSIGNED_INT, 0);
    this.gl.bindVertexArray(null);
  }
}

/** Soft light from the upper left of the screen, whatever the azimuth. */
function lightOf({ into, tilt }) {
  const flat = Math.hypot(into[0], into[1]);
  const ahead = flat > 1e-6 ? [into[0] / flat, into[1] / flat] : [0, 1];
  const [side, forward, up] = [-0.55, 0.35 + 0.1 * tilt, 1];
  const size = Math.hypot(side, forward, up);
  return [(side * ahead[1] + forward * ahead[0]) / size, (-side * ahead[0] + forward * ahead[1]) / size, up / size];
}

/** Cells beside a point that was not measured or is not finite, on the floor of the box. */
function holesOf({ alpha, beta, computed }, values, box) {
  const [data, triangles] = [[], []];
  const lost = (k) => !computed[k] || !Number.isFinite(values[k]);
  for (let j = 0; j < beta.length - 1; j += 1) {
    for (let i = 0; i < alpha.length - 1; i += 1) {
      const k = j * alpha.length + i;
      if (![k, k + 1, k + alpha.length, k + alpha.length + 1].some(lost)) continue;
      const n = data.length / 5;
      for (const [a, b] of [[0, 0], [1, 0], [0, 1], [1, 1]]) data.push(...box.place(alpha[i + a], beta[j + b], 0), 0, 0);
      triangles.push(n, n + 1, n + 2, n + 1, n + 3, n + 2);
    }
  }
  return { data, triangles };
}
