// A surface as Plotly draws it: a contour plot or a lit surface of the same numbers.

/** Finite computed values in increasing order, sorted once per metric. */
function sortedValues(surface, metric) {
  surface.sorted ??= [];
  return (surface.sorted[metric] ??= surface.values[metric].filter((v, k) => surface.computed[k] && Number.isFinite(v)).sort());
}

/** Share of points drawn below the clip when nobody chose one: all, unless a few explode. */
function clipOf(sorted) {
  const high = sorted[sorted.length - 1];
  return high > 20 * Math.abs(sorted[Math.floor(0.9 * (sorted.length - 1))]) ? 0.9 : 1;
}

/** What is drawn of one metric of a surface: bounds, clip, logarithm and gaps. */
function terrainOf(surface, metric) {
  const values = surface.values[metric];
  const sorted = sortedValues(surface, metric);
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const positive = sorted.find((v) => v > 0);
  const log = state.scale === 'log' && positive < high;
  const floor = log ? positive : low;
  const share = state.clip ?? clipOf(sorted);
  const top = Math.max(sorted[Math.round(share * (sorted.length - 1))], sorted.find((v) => v > floor) ?? floor);
  const broken = surface.computed.reduce((a, b) => a + b, 0) - sorted.length;
  const clamp = (v) => Math.min(top, Math.max(floor, v));
  const level = log ? (v) => Math.log10(clamp(v)) : clamp;
  return { surface, metric, values, low: floor, top, high, share, log, broken, clamp, level, empty: !sorted.length };
}

/** Rows of f(value) with null where nothing finite was computed. */
function rowsOf({ surface, values }, f) {
  const across = surface.alpha.length;
  return Array.from(surface.beta, (_, j) => Array.from(surface.alpha, (__, i) => {
    const k = j * across + i;
    return surface.computed[k] && Number.isFinite(values[k]) ? f(values[k]) : null;
  }));
}

const LEVELS = 22;

function contourTrace(terrain) {
  const [low, high] = [terrain.level(terrain.low), terrain.level(terrain.top)];
  const size = (high - low) / LEVELS || 1;
  return {
    type: 'contour', x: Array.from(terrain.surface.alpha), y: Array.from(terrain.surface.beta), z: rowsOf(terrain, terrain.level),
    colorscale: groundScale(), zmin: low, zmax: high, autocontour: false, showscale: false, hoverinfo: 'skip',
    contours: { start: low + size, end: high - size / 2, size, coloring: 'fill' },
    line: { width: 0.6, color: themeColour('contour'), smoothing: 0.8 },
  };
}

/** Dots where a surface with a tolerance was measured; elsewhere it is interpolated. */
function measuredTrace({ alpha, beta, measured }) {
  const at = Array.from(measured.keys()).filter((k) => measured[k]);
  return {
    type: 'scatter', mode: 'markers', hoverinfo: 'skip', x: at.map((k) => alpha[k % alpha.length]), y: at.map((k) => beta[Math.floor(k / alpha.length)]),
    marker: { size: 2.5, color: themeColour('contour'), opacity: 0.9 },
  };
}

function surfaceTrace(terrain) {
  const [low, high] = [terrain.level(terrain.low), terrain.level(terrain.top)];
  return {
    type: 'surface', x: Array.from(terrain.surface.alpha), y: Array.from(terrain.surface.beta), z: rowsOf(terrain, terrain.clamp),
    surfacecolor: rowsOf(terrain, terrain.level), cmin: low, cmax: high, colorscale: groundScale(), showscale: false, hoverinfo: 'none',
    lighting: { ambient: 0.62, diffuse: 0.6, specular: 0.06, roughness: 0.9, fresnel: 0.05 }, lightposition: { x: -2000, y: -1000, z: 3000 },
    contours: {
      x: { highlight: false }, y: { highlight: false },
      z: { highlight: false, show: true, start: low + (high - low) / LEVELS, end: high, size: (high - low) / LEVELS || 1, color: themeColour('isoline'), width: 1, usecolormap: false },
    },
  };
}

/** Width over height that keeps lengths comparable, where the extents allow it. */
function aspectOf({ alpha, beta, gram }) {
  const ratio = ((alpha[alpha.length - 1] - alpha[0]) / (beta[beta.length - 1] - beta[0])) * Math.sqrt(gram[0] / gram[3]);
  return ratio > 1 / 3 && ratio < 3 ? { ratio, true: true } : { ratio: ratio >= 3 ? 2 : 0.7, true: false };
}

function axisTitles({ labels, explained, null: chance }, room = [Infinity, Infinity]) {
  return labels.map((label, k) => {
    if (!explained || room[k] < 160) return label;
    if (room[k] < 320) return `${label} · ${percent(explained[k])}`;
    return `${label} · ${percent(explained[k])} of the movement${chance ? ` (random walk ${percent(chance[k])})` : ''}`;
  });
}

function axisLook(title) {
  return {
    title: { text: escaped(title), font: { size: 11, color: themeColour('quiet') }, standoff: 6 },
    tickfont: { size: 11, color: themeColour('quiet') }, gridcolor: themeColour('rule'), zeroline: false, showline: false, ticks: '',
  };
}

/** Plotly reads a little markup in titles: names from files must not be read as such. */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const FLAT_MARGIN = { l: 50, r: 8, t: 6, b: 40 };

function flatLayout(terrain, room) {
  const { alpha, beta, gram } = terrain.surface;
  const [xTitle, yTitle] = axisTitles(terrain.surface, room);
  const aspect = aspectOf(terrain.surface);
  return {
    margin: FLAT_MARGIN, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', dragmode: 'pan', showlegend: false,
    font: { family: getComputedStyle(document.body).fontFamily }, hovermode: false, uirevision: `${terrain.surface.key}`,
    xaxis: { ...axisLook(xTitle), range: [alpha[0], alpha[alpha.length - 1]], showgrid: false, constrain: 'domain', constraintoward: 'left' },
    yaxis: {
      ...axisLook(yTitle), range: [beta[0], beta[beta.length - 1]], showgrid: false, constrain: 'domain', constraintoward: 'top',
      ...(aspect.true ? { scaleanchor: 'x', scaleratio: Math.sqrt(gram[3] / gram[0]) } : {}),
    },
  };
}

function spaceLayout(terrain, camera) {
  const { ratio } = aspectOf(terrain.surface);
  const [xTitle, yTitle] = axisTitles({ ...terrain.surface, explained: null });
  // Ranges are given: Plotly forgets those it found itself when a 3-D plot changes its size.
  const ranged = (low, high) => (terrain.empty ? {} : { range: [low - (high - low) / 32, high + (high - low) / 32] });
  const { alpha, beta } = terrain.surface;
  const height = terrain.log ? Math.log10 : (value) => value;
  const axis = (title) => ({
    ...axisLook(title), showbackground: false, showspikes: false, gridcolor: themeColour('rule'), nticks: 6, title: { text: escaped(title), font: { size: 11, color: themeColour('quiet') } },
  });
  const ticks = ticksOf(terrain.low, terrain.top, 6, terrain.log);
  return {
    margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: 'rgba(0,0,0,0)', showlegend: false, font: { family: getComputedStyle(document.body).fontFamily },
    uirevision: 'space', hovermode: 'closest',
    scene: {
      camera, dragmode: 'turntable', aspectmode: 'manual', aspectratio: { x: 1.3 * Math.sqrt(ratio), y: 1.3 / Math.sqrt(ratio), z: 0.7 },
      xaxis: { ...axis(xTitle), ...ranged(alpha[0], alpha.at(-1)) }, yaxis: { ...axis(yTitle), ...ranged(beta[0], beta.at(-1)) },
      zaxis: { ...ranged(height(terrain.low), height(terrain.top)), ...axis(terrain.surface.metrics[terrain.metric]), type: terrain.log ? 'log' : 'linear', tickmode: 'array', tickvals: ticks, ticktext: ticks.map(tickText) },
    },
  };
}
