// How steep and how curved a surface is at a stored point, by differences of its stored values.

/** First and second difference of three values at distances `before` and `after` from the middle one. */
function differences3([low, middle, high], before, after) {
  const whole = before * after * (before + after);
  return [
    (before ** 2 * high - after ** 2 * low + (after ** 2 - before ** 2) * middle) / whole,
    (2 * (before * high + after * low - (before + after) * middle)) / whole,
  ];
}

/**
 * Slope (length of the gradient) and the two curvatures of the grid of a surface at (i, j), in units
 * of the parameter space, where `gram` measures lengths; null at an edge and beside a hole.
 * @returns {{slope: number, curvatures: number[]} | null}
 */
export function slopeOf({ alpha, beta, gram, computed }, values, { i, j }) {
  const wide = alpha.length;
  if (i < 1 || j < 1 || i > wide - 2 || j > beta.length - 2) return null;
  const at = (a, b) => (computed[(j + b) * wide + i + a] ? values[(j + b) * wide + i + a] : NaN);
  const [left, right, below, above] = [alpha[i] - alpha[i - 1], alpha[i + 1] - alpha[i], beta[j] - beta[j - 1], beta[j + 1] - beta[j]];
  const [gx, xx] = differences3([at(-1, 0), at(0, 0), at(1, 0)], left, right);
  const [gy, yy] = differences3([at(0, -1), at(0, 0), at(0, 1)], below, above);
  const xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / ((left + right) * (below + above));
  const [a, b, , d] = gram;
  const area = a * d - b * b;
  const slope = Math.sqrt(Math.max(0, (d * gx * gx - 2 * b * gx * gy + a * gy * gy) / area));
  // Eigenvalues of gram⁻¹ times the matrix of second differences.
  const [half, product] = [(d * xx - 2 * b * xy + a * yy) / area / 2, (xx * yy - xy * xy) / area];
  const apart = Math.sqrt(Math.max(0, half * half - product));
  const found = { slope, curvatures: [half + apart, half - apart] };
  return Number.isFinite(slope + half + apart) ? found : null;
}
