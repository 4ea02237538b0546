// Numbers as people read them.

export const notFinite = (value) => (Number.isNaN(value) ? 'not finite' : value > 0 ? '+∞' : '−∞');

/** Three significant digits; powers of ten outside 0.001 … 100,000. */
export function short(value, digits = 3) {
  if (value === 0) return '0';
  if (!Number.isFinite(value)) return notFinite(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split('e');
    return `${mantissa.replace('-', '−')}·10${superscript(Number(exponent))}`;
  }
  return (size >= 1000 ? String(Math.round(value)) : value.toPrecision(digits)).replace('-', '−');
}

export const superscript = (n) => String(n).replace('-', '⁻').replace(/\d/g, (d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]);

/** A tick's label: no more digits than it needs. */
export function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const exponent = Math.floor(Math.log10(size) + 1e-9);
    const mantissa = Number((value / 10 ** exponent).toPrecision(3));
    return `${mantissa === 1 ? '' : `${mantissa}·`}10${superscript(exponent)}`;
  }
  return String(Number(value.toPrecision(6))).replace('-', '−');
}

/** Whole per cent; what is not all is not called all of it, nor a little none. */
export function percent(share) {
  if (share > 0.995 && share < 1 - 1e-6) return `${Math.min(100 * share, 99.9).toFixed(1)} %`;
  if (share < 0.005 && share > 1e-6) return share < 0.001 ? '<0.1 %' : `${(100 * share).toFixed(1)} %`;
  return `${Math.round(100 * share)} %`;
}
