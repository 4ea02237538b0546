// Numbers as people read them, and elements in one call.

const notFinite = (value) => (Number.isNaN(value) ? 'not finite' : value > 0 ? '+∞' : '−∞');

/** Three significant digits; powers of ten outside 0.001 … 100,000. */
function short(value, digits = 3) {
  if (value === 0) return '0';
  if (!Number.isFinite(value)) return notFinite(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split('e');
    return `${mantissa.replace('-', '−')}·10${superscript(Number(exponent))}`;
  }
  return (size >= 1000 ? String(Math.round(value)) : value.toPrecision(digits)).replace('-', '−');
}

const superscript = (n) => String(n).replace('-', '⁻').replace(/\d/g, (d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]);

/** A tick's label: no more digits than it needs. */
function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const exponent = Math.floor(Math.log10(size) + 1e-9);
    const mantissa = Number((value / 10 ** exponent).toPrecision(3));
    return `${mantissa === 1 ? '' : `${mantissa}·`}10${superscript(exponent)}`;
  }
  return String(Number(value.toPrecision(6))).replace('-', '−');
}

const percent = (share) => `${Math.round(100 * share)} %`;

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element; children that are strings become text, never markup. */
const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** An SVG element. */
const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

const byId = (id) => document.getElementById(id);
const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');
