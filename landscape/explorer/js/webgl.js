// WebGL 2 in a few calls: programs, buffers, and whether there is any.

let found = null;

/** What draws in WebGL 2 here, by its own name; '' where nothing does. */
export function rendererName() {
  if (found !== null) return found;
  const gl = document.createElement('canvas').getContext('webgl2');
  const named = gl?.getExtension('WEBGL_debug_renderer_info');
  found = gl ? String(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER) || 'WebGL 2') : '';
  gl?.getExtension('WEBGL_lose_context')?.loseContext(); // a page may hold few of them
  return found;
}

export const hasWebGL = () => rendererName() !== '';

/** Whether the processor draws: then what need not go through WebGL is faster without it. */
export const isSoftware = () => /swiftshader|llvmpipe|softpipe|software|basic render/i.test(rendererName());

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
