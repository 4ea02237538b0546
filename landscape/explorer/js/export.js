// Pictures of a panel (Plotly's ground and the SVG above it in one file) and the curves as CSV.

const INLINED = ['fill', 'fill-opacity', 'stroke', 'stroke-width', 'stroke-opacity', 'stroke-dasharray', 'stroke-linejoin', 'stroke-linecap', 'opacity', 'visibility', 'font-size', 'font-family', 'font-weight', 'text-anchor', 'paint-order', 'font-variant-numeric'];

/** A copy of an SVG whose look no longer depends on this page. */
function standalone(node) {
  const copy = node.cloneNode(true);
  const [from, to] = [[node, ...node.querySelectorAll('*')], [copy, ...copy.querySelectorAll('*')]];
  from.forEach((original, k) => {
    const look = getComputedStyle(original);
    to[k].removeAttribute('style');
    for (const name of INLINED) {
      const value = look.getPropertyValue(name);
      if (value) to[k].style.setProperty(name, value);
    }
  });
  return copy;
}

/** Title and visible runs above a picture, in as many rows as they need: [SVG group, height]. */
function pictureHead(title, width) {
  const font = `11px ${getComputedStyle(document.body).fontFamily.replaceAll('"', "'")}`;
  const pen = el('canvas').getContext('2d');
  const group = svg('g', { style: `font: ${font}; fill: ${themeColour('ink')}` }, svg('text', { x: 8, y: 17, 'font-weight': 600 }, title));
  pen.font = `600 ${font}`;
  let [x, y] = [8 + pen.measureText(title).width + 16, 17];
  pen.font = font;
  for (const run of visibleRuns()) {
    const wide = 9 + pen.measureText(run.name).width + 16;
    if (x + wide > width) [x, y] = [12, y + 16];
    group.append(svg('path', { d: markerPath(run), transform: `translate(${x} ${y - 4}) scale(0.8)`, fill: runColour(run) }), svg('text', { x: x + 9, y }, run.name));
    x += wide;
  }
  return [group, y + 9];
}

/** The SVG text of a picture {title, plot?, layers, width, height}. */
async function pictureSvg({ title, plot, layers, width, height }) {
  const [head, top] = pictureHead(title, width);
  head.setAttribute('transform', `translate(0 ${-top})`);
  const whole = svg('svg', { xmlns: 'http://www.w3.org/2000/svg', width, height: height + top, viewBox: `0 ${-top} ${width} ${height + top}` },
    svg('rect', { y: -top, width, height: height + top, fill: themeColour('paper') }), head);
  if (plot) {
    // A scale of 2 gives WebGL twice the pixels; the picture keeps its size.
    const address = await Plotly.toImage(plot, { format: 'svg', width, height, scale: 2 });
    const ground = new DOMParser().parseFromString(decodeURIComponent(address.slice(address.indexOf(',') + 1)), 'image/svg+xml').documentElement;
    whole.append(document.importNode(ground, true));
    Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }).forEach(([name, value]) => whole.lastChild.setAttribute(name, value));
  }
  for (const layer of layers) {
    const copy = standalone(layer);
    copy.setAttribute('width', width);
    copy.setAttribute('height', height);
    whole.append(copy);
  }
  return new XMLSerializer().serializeToString(whole);
}

async function pictureBlob(picture, format) {
  const text = await pictureSvg(picture);
  const blob = new Blob([text], { type: 'image/svg+xml' });
  if (format === 'svg') return blob;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = el('canvas', { width: 2 * image.naturalWidth, height: 2 * image.naturalHeight });
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, 'image/png'); });
}

function download(blob, name) {
  const link = el('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 60) || 'landscape';

function exportButtons(title, picture) {
  return el('span', { class: 'export' }, ...['png', 'svg'].map((format) => el('button', {
    type: 'button', class: 'quiet', 'data-format': format, 'aria-label': `save ${title} as ${format.toUpperCase()}`,
    onclick: async () => download(await pictureBlob(picture(), format), `${slug(title)}-step-${Math.floor(state.step)}.${format}`),
  }, format.toUpperCase())));
}

const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csvNumber = (value) => (value === undefined ? '' : Number.isFinite(value) ? String(Number(value.toPrecision(8))) : Number.isNaN(value) ? '' : String(value));

/** The curves of the visible runs: one row per run and recorded step. */
function curvesCsv() {
  const rows = [['run', 'step', 'loss', 'mini_batch_loss', 'in_plane_loss', 'off_plane', 'cosine', 'distance', 'update_norm', 'learning_rate']];
  for (const run of visibleRuns()) {
    const plane = pathOf(surfaces[state.surface], run);
    const at = (columns, name, step) => {
      const index = columns?.[name] ? stateAt(columns.step, step) : -1;
      return index >= 0 && columns.step[index] === step ? csvNumber(columns[name][index]) : '';
    };
    const steps = [...new Set([run.path, run.measured, plane].flatMap((columns) => (columns ? [...columns.step] : [])))].sort((a, b) => a - b);
    for (const step of steps) {
      rows.push([quoted(run.name), step, at(run.measured, 'loss', step), at(run.path, 'losses', step), at(plane, 'inPlane', step), at(plane, 'residual', step),
        ...['cosine', 'distance', 'update_norm', 'learning_rate'].map((name) => at(run.path, name, step))]);
    }
  }
  return `${rows.map((row) => row.join(',')).join('\r\n')}\r\n`;
}
