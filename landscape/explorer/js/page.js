// Put the page together.

const lands = [];

function switchView(view) {
  if (view === '3d' && !hasWebGL()) {
    byId('say').textContent = 'This browser has no WebGL, which 3-D needs; the contour view shows the same numbers.';
    return;
  }
  setState({ view });
}

function segment(label, field, choices, choose = (value) => setState({ [field]: value })) {
  const buttons = choices.map(([value, text]) => el('button', { type: 'button', 'data-value': value, onclick: () => choose(value) }, text));
  const update = () => buttons.forEach((b) => b.setAttribute('aria-pressed', String(b.dataset.value === state[field])));
  onChange((changed) => changed.has(field) && update());
  update();
  return el('div', { class: 'segment', role: 'group', 'aria-label': label, 'data-field': field }, ...buttons);
}

function pickers(land) {
  const surface = surfaces.length > 1 && el('select', { 'aria-label': 'surface', onchange: (e) => setState({ [land.field]: Number(e.target.value) }) },
    ...surfaces.map((s) => el('option', { value: s.index }, s.key)));
  const most = Math.max(...surfaces.map((s) => s.metrics.length));
  const metric = most > 1 && el('select', { 'aria-label': 'metric', onchange: (e) => setState({ metric: Number(e.target.value) }) });
  land.picker.append(...[surface, metric].filter(Boolean));
  if (!surface && surfaces.length) land.picker.append(el('span', { class: 'note' }, surfaces[0].key));
  const update = () => {
    if (surface) surface.value = state[land.field];
    if (metric) {
      const names = land.surface?.metrics ?? [];
      metric.replaceChildren(...names.map((name, k) => el('option', { value: k }, name)));
      metric.value = Math.min(state.metric, names.length - 1);
    }
  };
  onChange(update);
  update();
}

function makeTools(parent, dialogs) {
  if (surfaces.length) {
    parent.append(segment('view', 'view', [['contour', 'Contour'], ['3d', '3-D']], switchView));
    parent.append(el('div', { class: 'segment cameras', role: 'group', 'aria-label': 'camera' }, ...CAMERA_NAMES.map((name) => el('button', {
      type: 'button', 'data-camera': name, onclick: () => setState({ camera: cameraNumbers(cameraOf(name, lands[0])) }),
    }, name))));
  }
  parent.append(segment('loss scale', 'scale', [['log', 'Log'], ['linear', 'Linear']]));
  if (runs.length && surfaces.length) {
    const drop = el('button', { type: 'button', class: 'tool space-only', title: 'draw the runs at the height of the surface instead of their measured loss (d)', onclick: () => setState({ drop: state.drop === 'on' ? 'off' : 'on' }) }, 'Drop to surface');
    const update = () => drop.setAttribute('aria-pressed', String(state.drop === 'on'));
    onChange(update);
    update();
    parent.append(drop);
  }
  if (surfaces.length > 1) {
    const compare = el('button', { type: 'button', class: 'tool', id: 'compare', title: 'two surfaces side by side (c)', onclick: () => setState({ compare: state.compare < 0 ? (state.surface === 0 ? 1 : 0) : -1 }) }, 'Compare');
    const update = () => compare.setAttribute('aria-pressed', String(state.compare >= 0));
    onChange(update);
    update();
    parent.append(compare);
  }
  parent.append(
    el('button', { type: 'button', class: 'tool round', id: 'theme', 'aria-label': 'light or dark', title: 'light or dark (t)', onclick: () => setState({ theme: isDark() ? 'light' : 'dark' }) },
      svg('svg', { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' }, svg('path', { d: 'M8 1a7 7 0 1 0 0 14z' }), svg('circle', { cx: 8, cy: 8, r: 6.5, class: 'outline' }))),
    el('button', { type: 'button', class: 'tool round', id: 'help-button', 'aria-label': 'help', title: 'keys and gestures (?)', onclick: dialogs.help }, '?'));
}

function makeLands(parent) {
  const add = (field) => {
    const land = new Land(parent, field);
    pickers(land);
    lands.push(land);
    land.onCamera = (moved, camera) => lands.filter((l) => l !== moved).forEach((l) => l.turnTo(camera));
    land.onRange = (moved) => lands.filter((l) => l !== moved && l.surface?.plane === moved.surface.plane).forEach((l) => copyRange(moved, l));
    return land;
  };
  const arrange = () => {
    const two = state.compare >= 0;
    parent.classList.toggle('two', two);
    if (two && lands.length < 2) add('compare');
    if (lands[1]) lands[1].box.hidden = !two;
  };
  if (surfaces.length) add('surface');
  arrange();
  onChange((changed) => {
    const again = ['surface', 'metric', 'compare', 'view', 'scale', 'clip', 'theme', 'drop', 'hidden', 'trail'].some((name) => changed.has(name));
    if (changed.has('compare')) arrange();
    document.body.classList.toggle('space', state.view === '3d');
    const shown = lands.filter((land) => !land.box.hidden);
    if (again) shown.forEach((land) => land.draw());
    else if (changed.has('camera') && state.view === '3d') shown.forEach((land) => setCamera(land));
    if (!again && changed.has('step')) shown.forEach((land) => land.step());
    if (changed.has('step') || changed.has('hidden') || again) captions();
  });
}

function captions() {
  for (const land of lands) {
    const none = land.surface && !land.surface.paths.length;
    land.caption.textContent = [
      land.field === 'surface' ? sentence(Math.floor(state.step)) : '',
      none && runs.length ? 'No run was projected on this plane.' : '',
      land.terrain?.broken ? `Hatched: ${land.terrain.broken} points are not finite.` : '',
    ].filter(Boolean).join(' ');
  }
}

function setCamera(land) {
  const wanted = state.camera ? cameraFrom(state.camera) : cameraOf('oblique', lands[0]);
  if (state.camera && state.camera === land.kept) return;
  const present = land.plot._fullLayout?.scene?.camera;
  if (present && cameraNumbers(present).join() !== cameraNumbers(wanted).join()) land.turnTo(wanted);
}

function copyRange(from, to) {
  const { xaxis, yaxis } = from.plot._fullLayout;
  if (to.space || to.box.hidden) return;
  Plotly.relayout(to.plot, { 'xaxis.range': [...xaxis.range], 'yaxis.range': [...yaxis.range] });
}

function makeHead() {
  byId('title').textContent = content.title;
  byId('description').textContent = content.description;
  const surface = surfaces[state.surface];
  const shown = byId('shown');
  const update = () => {
    const now = surfaces[state.surface];
    const sum = (shares) => percent(shares.reduce((a, b) => a + b, 0));
    shown.textContent = now?.explained ? `The plane shows ${sum(now.explained)} of the movement${now.null ? `; random walks: ${sum(now.null)}` : ''}` : '';
  };
  if (surface) onChange((changed) => changed.has('surface') && update());
  update();
}

/** Run the packed plotly.js; resolves when `window.Plotly` is there. */
async function unpackPlotly() {
  const packed = byId('plotly');
  if (!packed || window.Plotly) return;
  const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
  const code = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
  packed.remove();
  document.head.append(el('script', {}, code));
}

async function start() {
  applyTheme();
  onChange((changed) => changed.has('theme') && applyTheme());
  if (state.view === '3d' && !hasWebGL()) {
    switchView('3d'); // says why
    state.view = 'contour';
  }
  document.body.classList.toggle('space', state.view === '3d');
  document.body.classList.toggle('no-land', !surfaces.length);
  const dialogs = { help: makeHelp(), notes: makeNotes() };
  makeHead();
  makeTools(byId('tools'), dialogs);
  if (runs.length) makeLegend(byId('legend'));
  const player = hasSteps ? makePlayer(byId('player')) : null;
  makeKeys(player, dialogs);
  makeLands(byId('lands'));
  const charts = makeCurves(byId('curves'), byId('more'));
  if (runs.length) makeTable(byId('table'));
  byId('not-shown').addEventListener('click', dialogs.notes);
  byId('csv').addEventListener('click', () => download(new Blob([curvesCsv()], { type: 'text/csv' }), `${slug(content.title)}.csv`));
  byId('csv').hidden = !runs.length;
  if (surfaces.length) {
    await unpackPlotly();
    await Promise.all(lands.filter((land) => !land.box.hidden).map((land) => land.draw()));
    captions();
  }
  // For the console and for tests.
  window.explorer = { state, initial, setState, runs, surfaces, lands, charts, curvesCsv, colour: runColour };
  document.documentElement.dataset.ready = 'true';
}

start().catch((error) => {
  byId('say').textContent = `This page could not be drawn: ${error.message}. It needs a browser of 2023 or later.`;
  throw error;
});
