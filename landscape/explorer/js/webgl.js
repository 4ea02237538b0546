// WebGL 2 in a few calls: programs, buffers, and whether there is any.

export const hasWebGL = (() => {
  let answer;
  return () => (answer ??= Boolean(document.createElement('canvas').getContext('webgl2')));
})();

/** A compiled program with its uniforms by name. */
export function programOf(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, `#version 300 es\nprecision highp float;\n${source}`);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  const uniforms = {};
  const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) ?? 0;
  for (let k = 0; k < count; k += 1) {
    const { name } = gl.getActiveUniform(program, k);
    uniforms[name] = gl.getUniformLocation(program, name);
  }
  return { program, uniforms };
}

/** Fill a buffer, made when it is not there. */
export function filledBuffer(gl, data, buffer = null, target = gl.ARRAY_BUFFER, use = gl.STATIC_DRAW) {
  const made = buffer ?? gl.createBuffer();
  gl.bindBuffer(target, made);
  gl.bufferData(target, data, use);
  return made;
}
