// A page that grows: it asks the server that it came from what is new in the runs.

import { say } from './actions.js';
import { extendPath, growingPath, hasSteps, lastStep, runs } from './data.js';
import { byId, el } from './dom.js';
import { show } from './page.js';
import { announce, onChange, state, stretch } from './state.js';
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

function tellAll() {
  const phases = [...new Set(runs.map((run) => run.phase))];
  const words = runs.length > 6
    ? phases.map((phase) => `${runs.filter((run) => run.phase === phase).length} ${phase}`)
    : runs.map((run) => (runs.length > 1 ? `${run.name}: ${run.told}` : run.told));
  status.textContent = words.join(' · ');
  status.title = runs.map((run) => `${run.name}: ${run.told}`).join('\n');
}

/** What happened lately and was not said yet. */
function unheard(run, events) {
  const news = events.filter(({ id, age }) => age < RECENT && !heard.has(`${run.index} ${id}`));
  for (const { id } of news) heard.add(`${run.index} ${id}`);
  return news.map(({ text }) => `${run.name}: ${text}`);
}

/** The page as it was laid out, or with a fresh layout when other runs or quantities have come. */
async function take({ content, runs: news, ways }) {
  if (content) {
    const wanted = JSON.stringify(content);
    if (shape && shape !== wanted) { location.reload(); return; }
    if (!shape) {
      for (const run of content.runs) run.path = growingPath();
      for (const { run, ...change } of news) extendPath(content.runs[run].path, change);
      await show(content);
      byId('caption').parentElement.after(status);
    }
    shape = wanted;
  }
  const [before, said] = [lastStep, []];
  for (const { run, phase, told, events, ...change } of news) {
    Object.assign(runs[run], { phase, told });
    extendPath(runs[run].path, change);
    said.push(...unheard(runs[run], events));
  }
  if (said.length) say(`${said.join('. ')}.`);
  ways?.forEach((way, k) => { (charts[k] ??= new WayChart(byId('side'), k)).show(way); });
  if (ways?.length) document.body.classList.remove('bare');
  stretch(before);
  tellAll();
  if (hasSteps) document.title = `${lastStep} · ${runs.map((run) => run.name).join(', ')}`;
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
    const answer = await fetch(address('row', { run: run.index, step }));
    if (!answer.ok || Math.floor(state.step) !== step) return;
    const row = await answer.json();
    const number = (name) => row[name] ?? NaN;
    run.path.exact = {
      step, losses: number('loss'), cosine: number('update_cosine'), distance: number('distance'), update_norm: number('update_norm'),
      learning_rate: number('lr'), angle: (Math.acos(Math.max(-1, Math.min(1, number('update_cosine')))) * 180) / Math.PI,
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
