// Where a point of the scene is on the screen, from straight above (the map) to any angle.
//
// The scene is a box of width 2·bx, depth 2·by and height RELIEF around the origin. A camera looks
// at its middle from an azimuth and an elevation; perspective grows with the tilt and is none in
// the map, so that the map is exact and turns into the terrain without a cut.

export const RELIEF = 0.72;
const PERSPECTIVE = 0.16;

/** How data are placed in the box; lengths stay comparable where the extents allow it. */
export function boxOf({ alpha, beta, gram }) {
  const [x0, x1, y0, y1] = [alpha[0], alpha[alpha.length - 1], beta[0], beta[beta.length - 1]];
  const ratio = ((x1 - x0) / (y1 - y0)) * Math.sqrt(gram[0] / gram[3]);
  const fair = ratio > 1 / 3 && ratio < 3;
  const drawn = fair ? ratio : ratio >= 3 ? 2 : 0.7;
  const [bx, by] = [Math.sqrt(drawn), 1 / Math.sqrt(drawn)];
  const [sx, sy] = [(2 * bx) / (x1 - x0), (2 * by) / (y1 - y0)];
  const [mx, my] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return {
    bx, by, fair,
    place: (x, y, height) => [(x - mx) * sx, (y - my) * sy, height * RELIEF],
    back: (X, Y) => [X / sx + mx, Y / sy + my],
  };
}

/** Direction from the middle of a terrain to its low ground, as an azimuth to look from. */
export function lowSide({ field: { z, width, tall } }) {
  let [u, v, n] = [0, 0, 0];
  for (let k = 0; k < z.length; k += 7) {
    if (Number.isNaN(z[k])) continue;
    u += (1 - z[k]) * ((k % width) / (width - 1) - 0.5);
    v += (1 - z[k]) * (Math.floor(k / width) / (tall - 1) - 0.5);
    n += 1;
  }
  return Math.hypot(u, v) > 0.01 * n ? Math.atan2(v, u) + Math.PI / 2 : 0;
}

/** Named cameras [azimuth, elevation] in degrees. */
export function namedCamera(name, terrain) {
  const side = (lowSide(terrain) * 180) / Math.PI;
  return { oblique: [wrapped(side + 32), 38], side: [wrapped(side), 14], top: [0, 89] }[name];
}

export const CAMERA_NAMES = ['oblique', 'side', 'top'];
export const wrapped = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;

/**
 * A view of a box in a pane.
 * @param {{bx: number, by: number}} box
 * @param {{azimuth: number, elevation: number, tilt: number, zoom: number, panX: number, panY: number}} camera
 * @param {{x: number, y: number, width: number, height: number}} frame where the box fits at zoom 1
 */
export function viewOf(box, camera, frame) {
  const tilt = camera.tilt;
  const az = (wrapped(camera.azimuth) * tilt * Math.PI) / 180;
  const el = ((90 + (camera.elevation - 90) * tilt) * Math.PI) / 180;
  const k = PERSPECTIVE * tilt;
  const middle = [0, 0, (RELIEF / 2) * tilt];
  const right = [Math.cos(az), Math.sin(az), 0];
  const ahead = [-Math.sin(az), Math.cos(az), 0];
  const into = [Math.cos(el) * ahead[0], Math.cos(el) * ahead[1], -Math.sin(el)];
  const up = [Math.sin(el) * ahead[0], Math.sin(el) * ahead[1], Math.cos(el)];
  const along = (axis, p) => axis[0] * (p[0] - middle[0]) + axis[1] * (p[1] - middle[1]) + axis[2] * (p[2] - middle[2]);
  const seen = (p) => {
    const w = 1 + k * along(into, p);
    return [along(right, p) / w, along(up, p) / w];
  };
  let [left, rightmost, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const x of [-box.bx, box.bx]) {
    for (const y of [-box.by, box.by]) {
      for (const z of [0, RELIEF]) {
        const [a, b] = seen([x, y, z]);
        [left, rightmost, low, high] = [Math.min(left, a), Math.max(rightmost, a), Math.min(low, b), Math.max(high, b)];
      }
    }
  }
  const scale = camera.zoom * Math.min(frame.width / (rightmost - left), frame.height / (high - low));
  const cx = frame.x + frame.width / 2 - scale * ((left + rightmost) / 2 + camera.panX);
  const cy = frame.y + frame.height / 2 + scale * ((low + high) / 2 + camera.panY);
  const reach = 2.2 * Math.max(box.bx, box.by, 1);
  return {
    scale, cx, cy, tilt, into, k,
    /** Pixel of a point of the scene. */
    pixel: (p) => {
      const [a, b] = seen(p);
      return [cx + scale * a, cy - scale * b];
    },
    depth: (p) => along(into, p),
    /** The depth that WebGL keeps for a point, 0 … 1. */
    kept: (p) => {
      const away = along(into, p);
      return (((1 - k * reach) / reach) * away / (1 + k * away) + 1) / 2;
    },
    /** The ray through a pixel: points start + t·way; t grows away from the eye. */
    ray: (px, py) => {
      const [a, b] = [(px - cx) / scale, (cy - py) / scale];
      return {
        start: middle.map((m, n) => m + a * right[n] + b * up[n]),
        way: into.map((d, n) => d + k * (a * right[n] + b * up[n])),
        reach,
      };
    },
    /** The same for WebGL, by columns, in a canvas of `width` × `height` pixels. */
    matrix: (width, height) => {
      const [x0, y0] = [(2 * cx) / width - 1, 1 - (2 * cy) / height];
      const [fx, fy, fz] = [(2 * scale) / width, (2 * scale) / height, (1 - k * reach) / reach];
      const out = new Float32Array(16);
      for (let n = 0; n < 4; n += 1) {
        const part = (axis) => (n < 3 ? axis[n] : -(axis[0] * middle[0] + axis[1] * middle[1] + axis[2] * middle[2]));
        const w = k * part(into) + (n === 3 ? 1 : 0);
        out[4 * n] = fx * part(right) + x0 * w;
        out[4 * n + 1] = fy * part(up) + y0 * w;
        out[4 * n + 2] = fz * part(into);
        out[4 * n + 3] = w;
      }
      return out;
    },
  };
}
