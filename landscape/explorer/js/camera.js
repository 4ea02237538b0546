// Where a point of the surface is on the screen, in the contour view and in 3-D.

const CAMERA_NAMES = ['oblique', 'side', 'top'];

/** A camera that looks from the low side of a terrain up its slopes. */
function cameraOf(name, { terrain, stage }) {
  const centre = { x: 0, y: 0, z: -0.1 };
  const room = Math.max(1, (1.35 * stage.clientHeight) / Math.max(1, stage.clientWidth)); // farther in narrow panes
  if (name === 'top') return { eye: { x: 0, y: -0.01, z: 1.9 * room }, center: { x: 0, y: 0, z: 0 }, up: { x: 0, y: 1, z: 0 } };
  const angle = lowSide(terrain) + (name === 'side' ? 0 : Math.PI / 5);
  const [far, high] = name === 'side' ? [1.9, 0.35] : [1.55, 1];
  return { eye: { x: room * far * Math.cos(angle), y: room * far * Math.sin(angle), z: room * high }, center: centre, up: { x: 0, y: 0, z: 1 } };
}

/** Direction from the middle of the plane to its low ground, as an angle. */
function lowSide({ surface, values, level, low, top }) {
  const { alpha, beta } = surface;
  let [u, v] = [0, 0];
  for (let j = 0; j < beta.length; j += 1) {
    for (let i = 0; i < alpha.length; i += 1) {
      const height = (level(values[j * alpha.length + i]) - level(low)) / (level(top) - level(low));
      if (!Number.isFinite(height)) continue;
      u += (1 - height) * (i / (alpha.length - 1) - 0.5);
      v += (1 - height) * (j / (beta.length - 1) - 0.5);
    }
  }
  const weight = alpha.length * beta.length;
  return Math.hypot(u, v) / weight > 0.01 ? Math.atan2(v, u) : -Math.PI / 2;
}

const cameraNumbers = ({ eye, center, up }) => [eye, center, up].flatMap((v) => [v.x, v.y, v.z].map((n) => Number(n.toFixed(4))));
const cameraFrom = ([a, b, c, d, e, f, g, h, i]) => ({ eye: { x: a, y: b, z: c }, center: { x: d, y: e, z: f }, up: { x: g, y: h, z: i } });

/** Product of two 4×4 matrices stored by columns. */
function product(a, b) {
  const out = new Float64Array(16);
  for (let c = 0; c < 4; c += 1) {
    for (let r = 0; r < 4; r += 1) {
      for (let k = 0; k < 4; k += 1) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
    }
  }
  return out;
}

/** Pixel of (x, y, z) in a Plotly contour plot. */
function flatProjector(plot) {
  const { xaxis, yaxis } = plot._fullLayout;
  if (!xaxis?.l2p) return null;
  return (x, y) => [xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis.l2p(y)];
}

/**
 * Pixel of (x, y, z) in a Plotly 3-D scene, from the matrices it draws with; null when this version
 * of Plotly keeps them elsewhere.
 */
function spaceProjector(plot, log) {
  const scene = plot._fullLayout?.scene?._scene;
  const camera = scene?.glplot?.cameraParams;
  if (!camera?.projection || !camera.view || !camera.model || !scene.dataScale || !scene.container) return null;
  const m = product(camera.projection, product(camera.view, camera.model));
  const [sx, sy, sz] = scene.dataScale;
  const { clientWidth: width, clientHeight: height, offsetLeft: left, offsetTop: top } = scene.container;
  const project = (x, y, z) => {
    const [a, b, c] = [x * sx, y * sy, (log ? Math.log10(z) : z) * sz];
    const w = m[3] * a + m[7] * b + m[11] * c + m[15];
    return [
      left + (0.5 + (0.5 * (m[0] * a + m[4] * b + m[8] * c + m[12])) / w) * width,
      top + (0.5 - (0.5 * (m[1] * a + m[5] * b + m[9] * c + m[13])) / w) * height,
    ];
  };
  project.signature = `${m.join()}|${width}|${height}|${left}|${top}|${sx},${sy},${sz}`;
  return project;
}
