// A picture of the ground with its depth, kept while nothing but the paths moves.

const SAMPLES = 4;

export class KeptGround {
  /** @type {string | null} */ size = null;
  constructor(gl) {
    this.gl = gl;
    this.smooth = gl.createFramebuffer();
    this.plain = gl.createFramebuffer();
    this.key = null;
  }

  resize(width, height, samples) {
    const { gl } = this;
    for (const old of [this.colour, this.deep]) gl.deleteRenderbuffer(old ?? null);
    for (const old of [this.picture, this.depth]) gl.deleteTexture(old ?? null);
    const buffer = (format, attachment) => {
      const made = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, made);
      gl.renderbufferStorageMultisample(gl.RENDERBUFFER, samples, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, attachment, gl.RENDERBUFFER, made);
      return made;
    };
    const texture = (format, attachment) => {
      const made = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, made);
      gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
      for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, attachment, gl.TEXTURE_2D, made, 0);
      return made;
    };
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.smooth);
    this.colour = buffer(gl.RGBA8, gl.COLOR_ATTACHMENT0);
    this.deep = buffer(gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.plain);
    this.picture = texture(gl.RGBA8, gl.COLOR_ATTACHMENT0);
    this.depth = texture(gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT);
  }

  /** Have `draw` called when `key` or the size changed; then show what it drew. Its depth is in `depth`. */
  show(key, width, height, draw) {
    const { gl } = this;
    const samples = width * height > 6e6 ? 0 : Math.min(SAMPLES, gl.getParameter(gl.MAX_SAMPLES));
    const size = `${width}|${height}|${samples}`;
    if (this.size !== size) {
      this.resize(width, height, samples);
      [this.size, this.key] = [size, null];
    }
    if (this.key !== key) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.smooth);
      draw();
      gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.smooth);
      gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, this.plain);
      gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT, gl.NEAREST);
      this.key = key;
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.clear(gl.COLOR_BUFFER_BIT); // or the browser clears a shown canvas itself, at the next line that is drawn
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.plain);
    gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }
}
