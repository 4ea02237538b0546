// Colours: the theme, the surface's muted map and the runs' colours, all in OKLab so that equal
// steps look equal (Ottosson 2020, bottosson.github.io/posts/oklab).

const systemDark = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (state.theme === 'auto' ? systemDark.matches : state.theme === 'dark');

const toLinear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const fromLinear = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);

function hexToOklch(hex) {
  const [r, g, b] = [1, 3, 5].map((i) => toLinear(parseInt(hex.slice(i, i + 2), 16) / 255));
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  const A = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
  const B = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, Math.hypot(A, B), Math.atan2(B, A)];
}

function oklchToHex([L, C, h]) {
  const [A, B] = [C * Math.cos(h), C * Math.sin(h)];
  const l = (L + 0.3963377774 * A + 0.2158037573 * B) ** 3;
  const m = (L - 0.1055613458 * A - 0.0638541728 * B) ** 3;
  const s = (L - 0.0894841775 * A - 1.291485548 * B) ** 3;
  return `#${[
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((v) => Math.round(255 * Math.max(0, Math.min(1, fromLinear(Math.max(0, v))))).toString(16).padStart(2, '0')).join('')}`;
}

// Low loss is dark in both themes: [lightness, chroma, hue in degrees] of the lowest and highest.
const GROUND = {
  light: [[0.66, 0.062, 238], [0.975, 0.012, 85]],
  dark: [[0.2, 0.035, 255], [0.47, 0.05, 225]],
};

/** Plotly colour scale of the surface in the current theme. */
function groundScale() {
  const [low, high] = GROUND[isDark() ? 'dark' : 'light'];
  return Array.from({ length: 17 }, (_, i) => {
    const t = i / 16;
    const [L, C, h] = low.map((v, k) => v + t * (high[k] - v));
    return [t, oklchToHex([L, C, (h * Math.PI) / 180])];
  });
}

/** A run's colour, moved in lightness only as far as the theme's background needs. */
function runColour(run, dark = isDark()) {
  const [L, C, h] = hexToOklch(run.color);
  if (dark) return C < 0.02 && L < 0.4 ? '#f3f3f0' : oklchToHex([Math.max(L, 0.66), C, h]);
  return L > 0.8 ? oklchToHex([0.8, C, h]) : run.color;
}

const themeColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function applyTheme() {
  const root = document.documentElement;
  root.dataset.theme = isDark() ? 'dark' : 'light';
  for (const run of runs) root.style.setProperty(`--run-${run.index}`, runColour(run));
}

systemDark.addEventListener('change', () => state.theme === 'auto' && announce(['theme']));
