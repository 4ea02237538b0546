// A page that grows: it asks the server that it came from what is new in the runs.

import { say } from './actions.js';
import { askButton, placeButtons } from './asking.js';
import { menu } from './controls.js';
import { degreesOf, extendPath, growingPath, hasSteps, lastStep, runs, surfaces } from './data.js';
import { byId, el } from './dom.js';
import { show } from './page.js';
import { announce, hashOf, onChange, setState, state, stretch, visibleRuns } from './state.js';
import { WayChart } from './way.js';

const AGAIN_MS = 3000;
const RECENT = 60; // seconds; what happened earlier is not said to who comes now
const REST_MS = 150; // on a step, before its numbers are asked for in full
const token = new URLSearchParams(location.search).get('token') ?? '';
const status = el('p', { class: 'caption', id: 'watching', role: 'status' });
const heard = new Set();
const charts = [];
let shape = '';
let queue = Promise.resolve();

const address = (path, query = {}) => `${path}?${new URLSearchParams({ token, ...query })}`;

function tellAll(measuring) {
  const phases = [...new Set(runs.map((run) => run.phase))];
  const words = runs.length > 6
    ? phases.map((phase) => `${runs.filter((run) => run.phase === phase).length} ${phase}`)
    : runs.map((run) => (runs.length > 1 ? `${run.name}: ${run.told}` : run.told));
  status.textContent = [...words, measuring].filter(Boolean).join(' · ');
  status.title = runs.map((run) => `${run.name}: ${run.told}`).join('\n');
}

/** What happened lately and was not said yet. */
function unheard(run, events) {
  const news = events.filter(({ id, age }) => age < RECENT && !heard.has(`${run.index} ${id}`));
  for (const { id } of news) heard.add(`${run.index} ${id}`);
  return news.map(({ text }) => `${run.name}: ${text}`);
}

/** The page as it was laid out, or with a fresh layout when other runs or quantities have come. */
async function take({ content, runs: news, ways, measuring }) {
  if (content) {
    const wanted = JSON.stringify(content);
    if (shape && shape !== wanted) { layOut(); return; }
    if (!shape) {
      for (const run of content.runs) run.path = growingPath();
      for (const { name, ...change } of news) extendPath(content.runs.find((run) => run.name === name).path, change);
      await show(content);
      byId('caption').parentElement.after(status);
      if (runs.length) makeMeasures(content.measures);
      turn();
    }
    shape = wanted;
  }
  const [before, said] = [lastStep, []];
  for (const { name, phase, told, events, ...change } of news) {
    const run = runs.find((one) => one.name === name);
    Object.assign(run, { phase, told });
    extendPath(run.path, change);
    said.push(...unheard(run, events));
  }
  if (said.length) say(`${said.join('. ')}.`);
  ways?.forEach((way, k) => { (charts[k] ??= new WayChart(byId('side'), k)).show(way); });
  if (ways?.length) document.body.classList.remove('bare');
  stretch(before);
  tellAll(measuring);
  if (hasSteps) document.title = `${lastStep} · ${runs.map((run) => run.name).join(', ')}`;
}

/** What a page that is laid out anew is to know of the one before. */
const kept = {
  write(name, value) { try { sessionStorage.setItem(name, JSON.stringify(value)); } catch { /* not kept: it begins as any page */ } },
  read(name) { try { return JSON.parse(sessionStorage.getItem(name) ?? 'null'); } catch { return null; } },
};

/** Lay the page out anew, in the view in which it is. */
function layOut() {
  kept.write('shown', surfaces[state.surface]?.key ?? null);
  history.replaceState(null, '', `#${hashOf(state)}`);
  location.reload();
}

/** Turn to the region that was asked for, once it has come; else to the surface that was shown. */
function turn() {
  const before = kept.read('asked');
  const found = before ? surfaces.find(({ key }) => key.includes('/region-') && !before.includes(key)) : null;
  const same = surfaces.find(({ key }) => key === kept.read('shown'));
  if (found) {
    kept.write('asked', null);
    setState({ surface: found.index, window: null, camera: null, pins: [], clip: null, compare: -1 });
  } else if (same) setState({ surface: same.index });
}

/** What can be asked for: a surface, a walk, … of the first run that is shown; and what of its plane. */
function makeMeasures(what) {
  if (!what.length) return;
  const post = async (query) => {
    const answer = await fetch(address('measure', query), { method: 'POST' });
    if (!answer.ok) say(await answer.text());
  };
  const first = () => (visibleRuns()[0] ?? runs[0]).name;
  const [land] = globalThis.explorer.lands;
  const places = land ? placeButtons(land, ({ kind, place, plane }) => { kept.write('asked', surfaces.map(({ key }) => key)); post({ what: kind, place: place.join(), plane }); }) : [];
  byId('tools').prepend(menu('Measure', 'the last recorded state, now', ...what.map((one) => askButton(`${one[0].toUpperCase()}${one.slice(1)}`, `measure-${one.replaceAll(' ', '-')}`, () => post({ what: one, run: first() }))),
    ...places, askButton('Give up', 'measure-nothing', () => post({ what: 'nothing' }))));
}

function connect() {
  const source = new EventSource(address('events'));
  let lost = false;
  source.onopen = () => { if (lost) say(''); lost = false; };
  source.onmessage = ({ data }) => { queue = queue.then(() => take(JSON.parse(data))); };
  source.onerror = () => {
    lost = true;
    say('No answer from landscape watch; what is shown stays. Trying again …');
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS);
  };
}

/** Numbers of a step of which the curves keep only a part. */
async function askRows(step) {
  for (const run of runs.filter(({ path }) => path.span > 1 && path.exact?.step !== step && step > path.step[0] && step < path.step[1])) {
    const answer = await fetch(address('row', { run: run.name, step }));
    if (!answer.ok || Math.floor(state.step) !== step) return;
    const row = await answer.json();
    const number = (name) => row[name] ?? NaN;
    run.path.exact = {
      step, losses: number('loss'), cosine: number('update_cosine'), distance: number('distance'), update_norm: number('update_norm'),
      learning_rate: number('lr'), angle: degreesOf(number('update_cosine')),
    };
  }
  announce(['table']);
}

let resting = 0;
onChange((changed) => {
  if (!changed.has('step')) return;
  clearTimeout(resting);
  resting = setTimeout(() => askRows(Math.floor(state.step)), REST_MS);
});
connect();
