// Lines in WebGL: every segment is a quad turned to the screen, with round ends, dashes and depth.

import { filledBuffer, programOf } from './webgl.js';

// One vertex: place (3 floats), length along the line (1 float), colour (4 bytes).
export const STRIDE = 20;

const RIBBON_VERTEX = `
layout(location = 0) in vec4 first;
layout(location = 1) in vec4 second;
layout(location = 2) in vec4 firstColour;
layout(location = 3) in vec4 secondColour;
uniform mat4 matrix;
uniform vec2 size;
uniform float radius;
uniform float nearer;
out vec2 at;
out float span;
out float along;
out vec4 tint;
void main() {
  vec4 a = matrix * vec4(first.xyz, 1.0);
  vec4 b = matrix * vec4(second.xyz, 1.0);
  vec2 from = (a.xy / a.w) * 0.5 * size;
  vec2 to = (b.xy / b.w) * 0.5 * size;
  span = distance(from, to);
  vec2 way = span > 1e-4 ? (to - from) / span : vec2(1.0, 0.0);
  float room = radius + 1.0;
  bool end = gl_VertexID > 1;
  at = vec2(end ? span + room : -room, (gl_VertexID % 2 == 0 ? -1.0 : 1.0) * room);
  vec4 base = end ? b : a;
  vec2 spot = from + way * at.x + vec2(-way.y, way.x) * at.y;
  along = mix(first.w, second.w, span > 1e-4 ? clamp(at.x / span, 0.0, 1.0) : 0.0);
  tint = end ? secondColour : firstColour;
  if (firstColour.a == 0.0 || secondColour.a == 0.0) base.w = 0.0; // a gap
  gl_Position = vec4(spot / (0.5 * size) * base.w, base.z - nearer * base.w, base.w);
}`;

const RIBBON_FRAGMENT = `
in vec2 at;
in float span;
in float along;
in vec4 tint;
uniform float radius;
uniform vec4 dash;
uniform float unit;
uniform vec4 cover;
uniform float strength;
uniform highp sampler2D ground;
uniform int side; // of the ground that is drawn: 1 before it, -1 behind it, 0 whatever its depth
out vec4 colour;
void main() {
  if (side != 0 && (gl_FragCoord.z <= texelFetch(ground, ivec2(gl_FragCoord.xy), 0).r) != (side > 0)) discard;
  float over = max(max(-at.x, at.x - span), 0.0);
  float inside = clamp(radius + 0.5 - length(vec2(over, at.y)), 0.0, 1.0);
  float whole = dash.x + dash.y + dash.z + dash.w;
  if (whole > 0.0) {
    float d = mod(along * unit, whole);
    bool ink = d < dash.x || (d > dash.x + dash.y && d < dash.x + dash.y + dash.z);
    if (!ink) discard;
  }
  float alpha = inside * strength * tint.a;
  if (alpha < 0.004) discard;
  colour = vec4(mix(tint.rgb, cover.rgb, cover.a), alpha);
}`;

export class Ribbons {
  dots = 1;
  hides = false;

  constructor(gl) {
    this.gl = gl;
    const { program, uniforms } = programOf(gl, RIBBON_VERTEX, RIBBON_FRAGMENT);
    this.program = program;
    this.uniforms = uniforms;
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    for (const place of [0, 1, 2, 3]) {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribDivisor(place, 1);
    }
    gl.bindVertexArray(null);
  }

  /** A buffer of a line's vertices; `old` is filled again. */
  buffer(vertices, old) { return filledBuffer(this.gl, vertices, old, this.gl.ARRAY_BUFFER, this.gl.DYNAMIC_DRAW); }

  /** Draw with a matrix from now on; `ground` is the texture of a depth, `hides` whether it hides lines. */
  begin(matrix, width, height, dots, unit, ground, hides = false) {
    const { gl, uniforms } = this;
    Object.assign(this, { dots, hides });
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, ground);
    gl.activeTexture(gl.TEXTURE0);
    gl.useProgram(this.program);
    gl.bindVertexArray(this.array);
    gl.uniformMatrix4fv(uniforms.matrix, false, matrix);
    gl.uniform2f(uniforms.size, width * dots, height * dots);
    gl.uniform1f(uniforms.unit, unit * dots);
    gl.uniform1i(uniforms.ground, 1);
  }

  /**
   * Draw segments `from` … `to` of a buffer.
   * @param {WebGLBuffer} buffer @param {number} from @param {number} to
   * @param {{width: number, dash?: number[], cover?: number[], strength?: number, hidden?: boolean, nearer?: number}} look
   */
  draw(buffer, from, to, look) {
    const { width, dash = null, cover = [0, 0, 0, 0], strength = 1, hidden = false, nearer = 0.004 } = look;
    if (to <= from) return;
    const { gl, uniforms, dots } = this;
    gl.uniform1i(uniforms.side, this.hides ? (hidden ? -1 : 1) : 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    const start = from * STRIDE;
    gl.vertexAttribPointer(0, 4, gl.FLOAT, false, STRIDE, start);
    gl.vertexAttribPointer(1, 4, gl.FLOAT, false, STRIDE, start + STRIDE);
    gl.vertexAttribPointer(2, 4, gl.UNSIGNED_BYTE, true, STRIDE, start + 16);
    gl.vertexAttribPointer(3, 4, gl.UNSIGNED_BYTE, true, STRIDE, start + STRIDE + 16);
    gl.uniform1f(uniforms.radius, (width * dots) / 2);
    gl.uniform1f(uniforms.nearer, nearer);
    gl.uniform4fv(uniforms.dash, (dash ?? [0, 0, 0, 0]).map((d) => d * dots));
    gl.uniform4fv(uniforms.cover, cover);
    gl.uniform1f(uniforms.strength, strength);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, to - from);
  }
}

/** Length of the line through points up to each of them; one that is not finite is a gap. */
export function reachAlong(points, before = 0) {
  const reach = new Float32Array(points.length);
  let [length, last] = [before, null];
  points.forEach((point, k) => {
    const good = point.every(Number.isFinite);
    if (good && last) length += Math.hypot(point[0] - last[0], point[1] - last[1], point[2] - last[2]);
    reach[k] = length;
    last = good ? point : null;
  });
  return reach;
}

/** Vertices of a line through points [x, y, z] of the scene, `before` of it behind the first. */
export function lineVertices(points, colourOf, before = 0) {
  const floats = new Float32Array(points.length * (STRIDE / 4));
  const bytes = new Uint8Array(floats.buffer);
  const reach = reachAlong(points, before);
  let last = [0, 0, 0];
  points.forEach((point, k) => {
    const good = point.every(Number.isFinite);
    if (good) last = point;
    floats.set(last, 5 * k);
    floats[5 * k + 3] = reach[k];
    const [r, g, b, a] = colourOf(k);
    bytes.set([255 * r, 255 * g, 255 * b, good ? 255 * (a ?? 1) : 0], k * STRIDE + 16);
  });
  return floats;
}
