// Put the page together.

import { actions, say, switchView } from './actions.js';
import { applyTheme, groundColour, runColour } from './colour.js';
import { makeCurves } from './curves.js';
import { commonPrefix, content, firstStep, hasSteps, lastStep, load, runs, surfaces, unpackedText } from './data.js';
import { byId, reducedMotion } from './dom.js';
import { curvesCsv, download, filmLand, landCanvas, landSvg, slug } from './export.js';
import { percent } from './format.js';
import { makeKeys } from './keys.js';
import { makeLands } from './lands.js';
import { focusListeners, makeLegend } from './legend.js';
import { makeMatrices } from './matrix.js';
import { makeHelp, makeNotes, sentence } from './notes.js';
import { distanceTo, sliceOf } from './pins.js';
import { clockOf, makePlayer } from './player.js';
import { announce, forget, hashOf, initial, onChange, onWindow, readHash, setState, startState, state } from './state.js';
import { makeStory } from './story.js';
import { makeTable } from './table.js';
import { makeTools } from './tools.js';
import { hasWebGL } from './webgl.js';

const FIRST_LOOK_MS = 1600;
let handed = Promise.resolve(); // one content after the other

/** The caption follows the step; what is read aloud follows at most once a second. */
function makeCaption() {
  const text = new Text(sentence(Math.floor(state.step)));
  byId('caption').replaceChildren(text);
  let spoken = 0;
  let timer = 0;
  const update = () => {
    text.data = sentence(Math.floor(state.step));
    clearTimeout(timer);
    timer = setTimeout(() => {
      spoken = performance.now();
      byId('live').textContent = text.data;
    }, Math.max(250, 1000 - (performance.now() - spoken)));
  };
  onChange((changed) => ['step', 'hidden', 'table'].some((name) => changed.has(name)) && update());
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
  onWindow('resize', update);
  onChange((changed) => { if (changed.has('talk') || changed.has('curves')) update(); });
  update();
}

/** Take away what is shown; returns the address of its view. */
function clear({ player, lands }) {
  const view = hashOf(state);
  player?.stop();
  globalThis.explorer.cancelFirstLook?.();
  forget();
  focusListeners.length = 0;
  for (const land of lands) land.end();
  for (const id of ['player', 'tools', 'legend', 'lands', 'side', 'more', 'rows']) byId(id).replaceChildren();
  document.querySelectorAll('.story, body > dialog').forEach((node) => node.remove());
  return view;
}

/**
 * Show a page's content: that of a file, or what a live view, a notebook or a page that holds this
 * one hands over. Called again it shows the new content in the view in which the old one was left,
 * as far as there is such a view.
 * @param {any} given the content @param {Uint8Array} [bytes] columns that do not lie in it
 */
export async function show(given, bytes) {
  const before = globalThis.explorer && clear(globalThis.explorer);
  load(given, bytes);
  const lands = [];
  const prefix = commonPrefix(runs.map((run) => run.name));
  for (const run of runs) run.short = run.name.slice(prefix.length);
  const first = before === undefined && location.hash.length < 2;
  startState();
  if (before !== undefined) Object.assign(state, initial, readHash(before));
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
  makeTools(byId('tools'), lands, act);
  if (runs.length) makeLegend(byId('legend'), prefix);
  makeCaption();
  makeLands(byId('lands'), lands);
  makeMatrices(byId('more'));
  const charts = makeCurves(byId('side'), byId('more'));
  document.body.classList.toggle('bare', !document.querySelector('#curves .panel:not([hidden])'));
  if (runs.length) makeTable(byId('rows'));
  makeKeys(player, lands, act);
  byId('not-shown').onclick = act.notes;
  byId('close-table').onclick = act.table;
  lands.forEach((land) => { land.render(); });
  await Promise.all(lands.map((land) => land.drawing));
  // For the console, for a page that holds this one, and for tests.
  globalThis.explorer = {
    load: show, state, initial, setState, runs, surfaces, lands, charts, player, story, curvesCsv, landSvg, landCanvas, sliceOf, distanceTo, clockOf, hashOf, film: () => filmLand(lands[0], player), colour: runColour, ground: groundColour,
  };
  onWindow('message', ({ data, source }) => {
    if (typeof data?.content === 'string' && source === parent && parent !== window) {
      handed = handed.then(() => unpackedText(data.content)).then((parts) => show(...parts)).catch((error) => say(`No new content: ${error.message}.`));
    }
    if (Number.isInteger(data?.step)) setState({ step: Math.max(firstStep, Math.min(lastStep, data.step)) });
  });
  document.documentElement.dataset.ready = 'true';
  if (first && player && surfaces.length && !content.live && !reducedMotion.matches) firstLook(player);
}

/** The whole paths are seen, then they play once from the first step; whoever touches anything is first. */
function firstLook(player) {
  const timer = setTimeout(() => player.once(firstStep, lastStep), FIRST_LOOK_MS);
  const cancel = () => clearTimeout(timer);
  for (const name of ['pointerdown', 'keydown', 'hashchange', 'input']) addEventListener(name, cancel, { once: true, capture: true });
  globalThis.explorer.cancelFirstLook = cancel;
}
