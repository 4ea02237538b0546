// Colours: the theme, the surface's map and the runs' colours, all in OKLab so that equal steps
// look equal (Ottosson 2020, bottosson.github.io/posts/oklab).

import { content, runs } from './data.js';
import { announce, state } from './state.js';

const systemDark = matchMedia('(prefers-color-scheme: dark)');
export const isDark = () => (state.theme === 'auto' ? systemDark.matches : state.theme === 'dark');

const toLinear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const fromLinear = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);

export function hexToOklch(hex) {
  const [r, g, b] = channels(hex).map(toLinear);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  const A = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
  const B = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, Math.hypot(A, B), Math.atan2(B, A)];
}

export function oklchToHex([L, C, h]) {
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

/** Contrast of two colours by WCAG 2, from 1 to 21. */
export function contrast(one, other) {
  const light = (hex) => channels(hex).map(toLinear).reduce((sum, v, k) => sum + [0.2126, 0.7152, 0.0722][k] * v, 0);
  const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

/** Colour of the surface at t = 0 … 1 in a theme: the map comes with the content, by lightness, chroma and hue. */
export function groundColour(t, dark = isDark()) {
  const stops = content.ground[dark ? 'dark' : 'light'];
  const at = Math.max(0, Math.min(1, t)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(at));
  const [L, C, h] = stops[i].map((v, k) => v + (at - i) * (stops[i + 1][k] - v));
  return oklchToHex([L, C, (h * Math.PI) / 180]);
}

export const HALO = { light: '#ffffff', dark: '#0c0d10' };
const LEAST_CONTRAST = 3.1;

/** A run's colour, moved in lightness only as far as three to one against its halo needs. */
export function runColour(run, dark = isDark()) {
  const [lightness, C, h] = hexToOklch(run.color);
  let L = lightness;
  if (dark && C < 0.02 && L < 0.4) return '#f3f3f0';
  let colour = run.color;
  while (contrast(colour, HALO[dark ? 'dark' : 'light']) < LEAST_CONTRAST + (dark ? 1.4 : 0) && L > 0 && L < 1) {
    L += dark ? 0.01 : -0.01;
    colour = oklchToHex([L, C, h]);
  }
  return colour;
}

/** Colour of a share 0 … 1 of a quantity along a path. */
export function shareColour(t) {
  const dark = isDark();
  const at = Number.isFinite(t) ? Math.max(0, Math.min(1, t)) : 0;
  return oklchToHex([dark ? 0.62 + 0.28 * at : 0.32 + 0.3 * at, 0.17 - 0.03 * at, ((330 - 265 * (1 - at)) * Math.PI) / 180 + Math.PI / 3]);
}

/** [red, green, blue], each 0 … 1. */
export const rgb = channels;

const themeColours = new Map();

/** A colour of the theme by its name in the style sheet; asked for once, since asking costs a layout. */
export function themeColour(name) {
  if (!themeColours.has(name)) themeColours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return themeColours.get(name);
}

export function applyTheme() {
  const root = document.documentElement;
  root.dataset.theme = isDark() ? 'dark' : 'light';
  themeColours.clear();
  root.style.setProperty('--halo', HALO[root.dataset.theme]);
  for (const run of runs) root.style.setProperty(`--run-${run.index}`, runColour(run));
}

systemDark.addEventListener('change', () => state.theme === 'auto' && announce(['theme']));
