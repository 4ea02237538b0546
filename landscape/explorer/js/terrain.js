// A surface as Plotly draws it: a contour plot or a lit surface of the same numbers.

/** What is drawn of one metric of a surface: bounds, logarithm, levels and gaps. */
function terrainOf(surface, metric) {
  const values = surface.values[metric];
  let [low, high, positive, broken] = [Infinity, -Infinity, Infinity, 0];
  for (let k = 0; k < values.length; k += 1) {
    const v = values[k];
    if (!surface.computed[k]) continue;
    if (!Number.isFinite(v)) broken += 1;
    else {
      low = Math.min(low, v);
      high = Math.max(high, v);
      if (v > 0) positive = Math.min(positive, v);
    }
  }
  const log = state.scale === 'log' && positive < Infinity && high > positive;
  const floor = log ? positive : low;
  // The clip moves through the loss on the scale that is shown, from its floor to its top.
  const top = log ? floor * (high / floor) ** state.clip : floor + (high - floor) * state.clip;
  const clamp = (v) => Math.min(top, Math.max(floor, v));
  const level = log ? (v) => Math.log10(clamp(v)) : clamp;
  return { surface, metric, values, low: floor, top, high, log, broken, clamp, level, empty: !(high >= low) };
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

function flatLayout(terrain, room) {
  const { alpha, beta, gram } = terrain.surface;
  const [xTitle, yTitle] = axisTitles(terrain.surface, room);
  const aspect = aspectOf(terrain.surface);
  return {
    margin: { l: 50, r: 8, t: 6, b: 40 }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', dragmode: 'pan', showlegend: false,
    font: { family: getComputedStyle(document.body).fontFamily }, hovermode: false, uirevision: `${terrain.surface.key}`,
    xaxis: { ...axisLook(xTitle), range: [alpha[0], alpha[alpha.length - 1]], showgrid: false, constrain: 'domain' },
    yaxis: {
      ...axisLook(yTitle), range: [beta[0], beta[beta.length - 1]], showgrid: false, constrain: 'domain',
      ...(aspect.true ? { scaleanchor: 'x', scaleratio: Math.sqrt(gram[3] / gram[0]) } : {}),
    },
  };
}

function spaceLayout(terrain, camera) {
  const { ratio } = aspectOf(terrain.surface);
  const [xTitle, yTitle] = axisTitles({ ...terrain.surface, explained: null });
  const axis = (title) => ({
    ...axisLook(title), showbackground: false, showspikes: false, gridcolor: themeColour('rule'), nticks: 6, title: { text: escaped(title), font: { size: 11, color: themeColour('quiet') } },
  });
  const ticks = ticksOf(terrain.low, terrain.top, 6, terrain.log);
  return {
    margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: 'rgba(0,0,0,0)', showlegend: false, font: { family: getComputedStyle(document.body).fontFamily },
    uirevision: 'space', hovermode: 'closest',
    scene: {
      camera, dragmode: 'turntable', aspectmode: 'manual', aspectratio: { x: 1.3 * Math.sqrt(ratio), y: 1.3 / Math.sqrt(ratio), z: 0.7 },
      xaxis: axis(xTitle), yaxis: axis(yTitle),
      zaxis: { ...axis(terrain.surface.metrics[terrain.metric]), type: terrain.log ? 'log' : 'linear', tickmode: 'array', tickvals: ticks, ticktext: ticks.map(tickText) },
    },
  };
}
