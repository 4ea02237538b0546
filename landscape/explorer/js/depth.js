// The depth of a drawn ground, read back from WebGL, for what a pen draws over it.

import { programOf } from './webgl.js';

const EVERYWHERE = `
void main() { gl_Position = vec4(vec2(gl_VertexID % 2, gl_VertexID / 2) * 4.0 - 1.0, 0.0, 1.0); }`;

const IN_TWO_BYTES = `
uniform highp sampler2D depth;
out vec4 colour;
void main() {
  float whole = texelFetch(depth, ivec2(gl_FragCoord.xy), 0).r * 255.0;
  colour = vec4(floor(whole) / 255.0, fract(whole), 0.0, 1.0);
}`;

export class DepthReader {
  constructor(gl) {
    this.gl = gl;
    this.program = programOf(gl, EVERYWHERE, IN_TWO_BYTES);
    this.array = gl.createVertexArray();
    this.frame = gl.createFramebuffer();
  }

  /** Depths 0 … 1 of a texture of `width` × `height`, by the pixel's column and its row from above. */
  read(texture, width, height) {
    const { gl } = this;
    const target = gl.createRenderbuffer();
    gl.bindRenderbuffer(gl.RENDERBUFFER, target);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, target);
    gl.viewport(0, 0, width, height);
    gl.disable(gl.BLEND);
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(this.program.program);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.uniform1i(this.program.uniforms.depth, 0);
    gl.bindVertexArray(this.array);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindVertexArray(null);
    const bytes = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.deleteRenderbuffer(target);
    return (column, row) => {
      const k = 4 * (Math.max(0, Math.min(height - 1, height - 1 - row)) * width + Math.max(0, Math.min(width - 1, column)));
      return (bytes[k] + bytes[k + 1] / 255) / 255;
    };
  }
}
