// Put the page together.

import { CAMERA_NAMES, namedCamera } from './camera.js';
import { applyTheme, groundColour, isDark, runColour } from './colour.js';
import { makeCurves } from './curves.js';
import { barriers, commonPrefix, content, firstStep, hasSteps, lastStep, lines, load, runs, surfaces } from './data.js';
import { byId, el, narrow, reducedMotion, svg } from './dom.js';
import { curvesCsv, download, filmLand, landCanvas, landSvg, saveLand, slug } from './export.js';
import { percent, short } from './format.js';
import { makeKeys } from './keys.js';
import { Land } from './land.js';
import { ColourBar, focusListeners, makeClip, makeLegend } from './legend.js';
import { makeMatrices } from './matrix.js';
import { makeDialog, makeHelp, makeNotes, sentence } from './notes.js';
import { differenceOf, distanceTo, showPins, sliceOf } from './pins.js';
import { clockOf, makePlayer } from './player.js';
import { announce, hashOf, initial, onChange, setState, startState, state, toggle } from './state.js';
import { makeStory } from './story.js';
import { makeTable } from './table.js';
import { hasWebGL } from './webgl.js';

const lands = [];
const FIRST_LOOK_MS = 1600;

const say = (text) => { byId('say').textContent = text; };

function switchView(view) {
  if (view === '3d' && !hasWebGL()) {
    say('This browser has no WebGL, which the terrain needs; the map shows the same numbers.');
    return;
  }
  setState({ view });
}

/** Buttons of which one is pressed. */
function segment(label, field, choices, choose = (value) => setState({ [field]: value })) {
  const buttons = choices.map(([value, text]) => el('button', { type: 'button', 'data-value': value, onclick: () => choose(value) }, text));
  const update = () => buttons.forEach((b) => b.setAttribute('aria-pressed', String(b.dataset.value === state[field])));
  onChange((changed) => changed.has(field) && update());
  update();
  return el('div', { class: 'segment', role: 'group', 'aria-label': label, 'data-field': field }, ...buttons);
}

/** A button that is pressed while a field is "on". */
function switchButton(id, field, label, title, attributes = {}) {
  const button = el('button', { type: 'button', class: 'tool', id, title, onclick: () => toggle(field), ...attributes }, label);
  const update = () => button.setAttribute('aria-pressed', String(state[field] === 'on'));
  onChange((changed) => changed.has(field) && update());
  update();
  return button;
}

/** A button that opens a list of more. */
function menu(label, title, ...children) {
  const box = el('details', { class: 'menu' }, el('summary', { class: 'tool', 'aria-label': title, title }, label), el('div', { class: 'menu-body' }, ...children));
  addEventListener('pointerdown', (event) => { if (!box.contains(event.target)) box.open = false; });
  box.addEventListener('keydown', (event) => { if (event.key === 'Escape') { box.open = false; event.stopPropagation(); } });
  return box;
}

function makeTools(parent, act) {
  const button = (id, label, title, onclick) => el('button', { type: 'button', class: 'tool', id, title, onclick }, label);
  const has = surfaces.length > 0;
  const select = (field, label, options) => {
    const node = el('select', { 'aria-label': label, onchange: () => setState({ [field]: node.value }) }, ...options.map(([v, t]) => el('option', { value: v }, t)));
    const update = () => { node.value = state[field]; };
    onChange((changed) => changed.has(field) && update());
    update();
    return el('label', { class: 'row' }, el('span', {}, label), node);
  };
  parent.append(...[
    has && segment('view', 'view', [['contour', 'Map'], ['3d', 'Terrain']], switchView),
    segment('loss scale', 'scale', [['log', 'Log'], ['linear', 'Linear']]),
    content.story?.length > 0 && button('story', 'Story', 'scenes computed from these results (n)', act.next),
    menu('View', 'more about the view', ...[
      has && el('div', { class: 'segment cameras', role: 'group', 'aria-label': 'camera' }, ...CAMERA_NAMES.map((name) => el('button', {
        type: 'button', 'data-camera': name, onclick: () => { switchView('3d'); setState({ camera: [...namedCamera(name, lands[0].terrain).map((v) => Number(v.toFixed(2))), 1, 0, 0] }); },
      }, name))),
      has && runs.length > 0 && select('colour', 'Colour paths by', [['run', 'run'], ['loss', 'loss'], ['angle', 'angle'], ['residual', 'distance off the plane']]),
      has && runs.length > 0 && switchButton('fade', 'fade', 'Fade paths off the plane', 'paths fade with their distance from the plane'),
      has && runs.length > 0 && switchButton('drop', 'drop', 'Drop to surface', 'draw the runs on the surface instead of at their measured loss (d)'),
      comparable() && button('compare', 'Compare two surfaces or metrics', 'side by side (c)', act.compare),
      surfaces.length > 1 && switchButton('difference', 'difference', 'Their difference', 'the first minus the second, at the same points'),
      (runs.length > 0 || lines.length > 0 || barriers.length > 0) && has && switchButton('curves-button', 'curves', 'Curves', 'show or hide the curves (k)'),
      runs.length > 0 && button('table-button', 'Table', 'numbers of every run at this step (b)', act.table),
      hasSteps && button('mark', 'Mark this step', 'a note at this step (m)', act.mark),
      switchButton('talk', 'talk', 'Talk', 'large type, no controls (p)'),
    ].filter(Boolean)),
    menu('Save', 'take it along', ...[
      has && button('save-png', 'Picture (PNG, 2×)', 'as it is now', () => saveLand(lands[0], 'png')),
      has && button('save-png4', 'Picture (PNG, 4×)', 'as it is now', () => saveLand(lands[0], 'png4')),
      has && button('save-svg', 'Picture (SVG)', 'as it is now', () => saveLand(lands[0], 'svg')),
      has && hasSteps && button('save-webm', 'Clip (WebM)', 'plays the chosen range once', act.film),
      runs.length > 0 && button('csv', 'Curves (CSV)', 'every recorded step of the visible runs', () => download(new Blob([curvesCsv()], { type: 'text/csv' }), `${slug(content.title)}.csv`)),
      button('link', 'Copy address', 'of this page as it is now', act.link),
      button('python', 'Copy Python', 'that makes this view', act.python),
    ].filter(Boolean)),
    el('button', { type: 'button', class: 'tool round', id: 'theme', 'aria-label': 'light or dark', title: 'light or dark (t)', onclick: () => setState({ theme: isDark() ? 'light' : 'dark' }) },
      svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: 'M8 1a7 7 0 1 0 0 14z' }), svg('circle', { cx: 8, cy: 8, r: 6.5, class: 'outline' }))),
    el('button', { type: 'button', class: 'tool round', id: 'help-button', 'aria-label': 'help', title: 'keys and gestures (?)', onclick: act.help }, '?')].filter(Boolean));
}

/** Whether there is anything to put beside the landscape: another surface or another metric. */
const comparable = () => surfaces.length > 1 || surfaces[0]?.metrics.length > 1;

/** What stands over a landscape: which surface, its colours, buttons to zoom, the pins. */
function dress(land) {
  const surface = surfaces.length > 1 && el('select', { 'aria-label': 'surface', onchange: (e) => setState({ [land.field]: Number(e.target.value) }) },
    ...surfaces.map((s) => el('option', { value: s.index }, s.key)));
  const most = Math.max(...surfaces.map((s) => s.metrics.length));
  const metric = most > 1 && el('select', { 'aria-label': 'metric', onchange: (e) => setState({ [land.field === 'compare' ? 'other' : 'metric']: Number(e.target.value) }) });
  land.bar = new ColourBar();
  land.clip = makeClip();
  land.note = el('p', { class: 'note' });
  const key = el('div', { class: 'key glass' }, el('div', { class: 'picker' }, surface || el('span', { class: 'note' }, surfaces[0].key), metric, land.clip.box), land.bar.svg, land.note);
  const zoom = (label, title, act) => el('button', { type: 'button', class: 'tool round', 'aria-label': title, title, onclick: act }, label);
  land.card = el('div', { class: 'card glass', role: 'group', 'aria-label': 'pinned points', hidden: true });
  land.stage.append(el('div', { class: 'zooms' }, zoom('+', 'zoom in', () => land.zoom(1.5)), zoom('−', 'zoom out', () => land.zoom(1 / 1.5)),
    el('button', { type: 'button', class: 'tool round fit', 'aria-label': 'fit: the whole again', title: 'the whole again (0)', onclick: () => land.fit() }, 'Fit')), land.card);
  land.section.append(key);
  land.say = (text) => { byId('live').textContent = text; };
  land.clear = () => {
    const over = byId('over').getBoundingClientRect();
    const stage = land.stage.getBoundingClientRect();
    const story = document.querySelector('.story')?.getBoundingClientRect();
    const top = over.bottom > stage.top && over.top < stage.bottom && !narrow.matches ? Math.max(0, over.bottom - stage.top) : 0;
    const size = parseFloat(getComputedStyle(document.documentElement).fontSize) * (11 / 14);
    return { top, size, bottom: story?.height && !narrow.matches ? Math.max(0, stage.bottom - story.top - 2 * size) : 0 };
  };
  const watcher = new ResizeObserver(() => land.resize());
  for (const over of [byId('over'), document.querySelector('.story')].filter(Boolean)) watcher.observe(over);
  land.dressed = () => {
    if (surface) surface.value = state[land.field];
    if (metric) {
      const names = land.surface?.metrics ?? [];
      metric.replaceChildren(...names.map((name, k) => el('option', { value: k }, name)));
      metric.value = land.metric;
    }
    land.bar.show(land.terrain);
    land.clip.show(land.terrain);
    const { broken, below, low, top, high } = land.terrain;
    land.note.textContent = [
      land.refused ?? '',
      land.surface.paths.length || !runs.length || land.given ? '' : 'No run was projected on this plane.',
      broken ? `Hatched: ${broken} points are not finite.` : '',
      below ? `${below} points are not positive: drawn at ${short(low)}.` : '',
      top < high ? `Flat above ${short(top)}.` : '',
    ].filter(Boolean).join(' ');
    land.stage.classList.toggle('zoomed', Boolean(state.view === '3d' || state.window));
  };
}

const REDRAWN = ['surface', 'metric', 'other', 'compare', 'difference', 'scale', 'clip', 'theme', 'drop', 'hidden', 'fade', 'colour'];

function makeLands(parent) {
  const add = (field) => {
    const land = new Land(parent, field);
    dress(land);
    lands.push(land);
    focusListeners.push((index) => { land.focus = index; land.render(); });
  };
  const arrange = () => {
    const two = state.compare >= 0 || (state.difference === 'on' && surfaces.length > 1);
    parent.classList.toggle('two', two);
    if (two && lands.length < 2) add('compare');
    if (!lands[1]) return;
    lands[1].section.hidden = !two;
    const other = surfaces[state.compare >= 0 ? state.compare : (state.surface + 1) % surfaces.length];
    const found = state.difference === 'on' ? differenceOf(surfaces[state.surface], other) : null;
    lands[1].given = found && typeof found !== 'string' ? found : state.compare >= 0 ? null : other;
    lands[1].refused = typeof found === 'string' ? found : null;
  };
  const shown = () => lands.filter((land) => !land.section.hidden);
  const drawAll = () => shown().forEach((land) => { land.draw(); land.dressed(); showPins(land.card, land); });
  if (surfaces.length) add('surface');
  arrange();
  if (surfaces.length) drawAll();
  onChange((changed) => {
    if (changed.has('compare') || changed.has('difference') || changed.has('surface')) arrange();
    document.body.classList.toggle('space', state.view === '3d');
    if (REDRAWN.some((name) => changed.has(name))) drawAll();
    else if (['size', 'step', 'view', 'camera', 'window', 'trail', 'pins', 'talk', 'curves', 'scene'].some((name) => changed.has(name))) {
      shown().forEach((land) => {
        if (changed.has('size')) land.resize();
        else land.render();
        land.stage.classList.toggle('zoomed', Boolean(state.view === '3d' || state.window));
        if (changed.has('pins') || (changed.has('step') && state.pins.length)) showPins(land.card, land);
      });
    }
  });
}

/** The caption follows the step; what is read aloud follows at most once a second. */
function makeCaption() {
  let spoken = 0;
  let timer = 0;
  const update = () => {
    byId('caption').textContent = sentence(Math.floor(state.step));
    clearTimeout(timer);
    timer = setTimeout(() => {
      spoken = performance.now();
      byId('live').textContent = byId('caption').textContent;
    }, Math.max(250, 1000 - (performance.now() - spoken)));
  };
  onChange((changed) => (changed.has('step') || changed.has('hidden')) && update());
  byId('caption').textContent = sentence(Math.floor(state.step));
}

function makeHead() {
  byId('title').textContent = content.title;
  byId('description').textContent = content.description;
  const update = () => {
    const now = surfaces[state.surface];
    const sum = (shares) => percent(shares.reduce((a, b) => a + b, 0));
    byId('shown').textContent = now?.explained ? `The plane shows ${sum(now.explained)} of the movement${now.null ? `; random walks: ${sum(now.null)}` : ''}.` : '';
  };
  onChange((changed) => changed.has('surface') && update());
  update();
}

/** Type grows with the screen, and in a talk to what the last row can read. */
function makeScale() {
  const update = () => {
    const talk = state.talk === 'on';
    const unit = talk ? Math.max(1.6, (0.0165 * innerHeight) / 11) : Math.max(1, Math.min(innerHeight / 1150, innerWidth / 1900));
    document.documentElement.style.setProperty('--unit', unit.toFixed(3));
    document.body.classList.toggle('talk', talk);
    document.body.classList.toggle('no-curves', state.curves === 'off' || talk);
    if (document.documentElement.dataset.ready) announce(['size']);
  };
  addEventListener('resize', update);
  onChange((changed) => { if (changed.has('talk') || changed.has('curves')) update(); });
  update();
}

function actions(dialogs) {
  const drawer = byId('table');
  const copied = async (text, what) => {
    try {
      await navigator.clipboard.writeText(text);
      say(`${what} copied.`);
    } catch {
      const area = el('textarea', { readonly: true, rows: 6, 'aria-label': what }, text);
      const dialog = makeDialog('copy', what, area);
      dialog.addEventListener('close', () => dialog.remove());
      dialog.showModal();
      area.select();
    }
  };
  return {
    ...dialogs,
    view: switchView,
    table: () => {
      drawer.hidden = !drawer.hidden;
      announce(['table']);
    },
    compare: () => {
      if (state.compare >= 0 || !comparable()) setState({ compare: -1, other: -1, difference: 'off' });
      else setState(surfaces.length > 1 ? { compare: state.surface === 0 ? 1 : 0 } : { compare: 0, other: state.metric === 0 ? 1 : 0 });
    },
    mark: () => {
      const step = Math.floor(state.step);
      const known = state.marks.find(([at]) => at === step);
      const note = prompt(`Note at step ${step}`, known?.[1] ?? '');
      if (note === null) return;
      const others = state.marks.filter(([at]) => at !== step);
      setState({ marks: (note ? [...others, [step, note]] : others).sort((a, b) => a[0] - b[0]) });
    },
    link: () => copied(`${location.href.split('#')[0]}#${hashOf(state)}`, 'Address'),
    python: () => copied(`import landscape as ls\n\npage = ls.explore(results, "page.html", title=${JSON.stringify(content.title)})\nprint(page.as_uri() + ${JSON.stringify(`#${hashOf(state)}`)})\n`, 'Python'),
  };
}

/** The content that lies packed in the page. */
async function packedContent() {
  const bytes = Uint8Array.from(atob(byId('content').textContent), (c) => c.charCodeAt(0));
  const plain = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  const length = new DataView(plain).getUint32(0, true);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(plain, 4, length))), new Uint8Array(plain, 4 + length)];
}

async function start() {
  load(...await packedContent());
  const prefix = commonPrefix(runs.map((run) => run.name));
  for (const run of runs) run.short = run.name.slice(prefix.length);
  const first = location.hash.length < 2;
  startState();
  if (first && content.marks.length) Object.assign(state, { marks: content.marks });
  initial.marks = state.marks;
  applyTheme();
  onChange((changed) => changed.has('theme') && applyTheme());
  if (state.view === '3d' && !hasWebGL()) {
    switchView('3d'); // says why
    state.view = 'contour';
  }
  document.body.classList.toggle('embed', new URLSearchParams(location.search).has('embed'));
  document.body.classList.toggle('space', state.view === '3d');
  document.body.classList.toggle('no-land', !surfaces.length);
  document.body.classList.toggle('no-steps', !hasSteps);
  makeScale();
  const act = actions({ help: makeHelp(), notes: makeNotes() });
  makeHead();
  const player = hasSteps ? makePlayer(byId('player')) : null;
  const story = makeStory(byId('main'), player);
  act.next = story.next;
  act.film = async () => {
    say('Filming …');
    try {
      download(await filmLand(lands[0], player), `${slug(content.title)}.webm`);
      say('');
    } catch (error) {
      say(`No clip: ${error.message}.`);
    }
  };
  makeTools(byId('tools'), act);
  if (runs.length) makeLegend(byId('legend'), prefix);
  makeCaption();
  makeLands(byId('lands'));
  const charts = makeCurves(byId('side'), byId('more'));
  makeMatrices(byId('more'));
  document.body.classList.toggle('bare', !document.querySelector('#curves .panel:not([hidden])'));
  if (runs.length) makeTable(byId('rows'));
  makeKeys(player, lands, act);
  byId('not-shown').addEventListener('click', act.notes);
  byId('close-table').addEventListener('click', act.table);
  lands.forEach((land) => { land.render(); });
  await Promise.all(lands.map((land) => land.drawing));
  // For the console, for a page that holds this one, and for tests.
  window.explorer = {
    state, initial, setState, runs, surfaces, lands, charts, player, story, curvesCsv, landSvg, landCanvas, sliceOf, distanceTo, clockOf, hashOf, film: () => filmLand(lands[0], player), colour: runColour, ground: groundColour,
  };
  addEventListener('message', ({ data }) => { if (Number.isInteger(data?.step)) setState({ step: Math.max(firstStep, Math.min(lastStep, data.step)) }); });
  document.documentElement.dataset.ready = 'true';
  if (first && player && surfaces.length && !reducedMotion.matches) firstLook(player);
}

/** The whole paths are seen, then they play once from the first step; whoever touches anything is first. */
function firstLook(player) {
  const timer = setTimeout(() => player.once(firstStep, lastStep), FIRST_LOOK_MS);
  const cancel = () => clearTimeout(timer);
  for (const name of ['pointerdown', 'keydown', 'hashchange', 'input']) addEventListener(name, cancel, { once: true, capture: true });
  window.explorer.cancelFirstLook = cancel;
}

start().catch((error) => {
  say(`This page could not be drawn: ${error.message}. It needs a browser of 2023 or later.`);
  throw error;
});
