// One state, rendered once per animation frame and mirrored to the address; what comes back from
// an address is checked before it is used.

import { firstStep, hasSteps, lastStep, runs, surfaces } from './data.js';

const whole = (low, high) => (text) => {
  const value = Number(text);
  return text !== '' && Number.isInteger(value) && value >= low && value <= high ? value : undefined;
};
const oneOf = (...allowed) => (text) => (allowed.includes(text) ? text : undefined);
const numbers = (count, ...bounds) => (text) => {
  const found = text.split(',').map(Number);
  return found.length === count && found.every((n, k) => Number.isFinite(n) && n >= bounds[k][0] && n <= bounds[k][1]) ? found : undefined;
};
const indices = (bound, most = Infinity) => (text) => {
  const found = [...new Set(text.split(',').filter(Boolean).map(Number))];
  return found.length <= most && found.every((n) => Number.isInteger(n) && n >= 0 && n < bound) ? found : undefined;
};
const readClip = (text) => (text !== '' && Number(text) >= 0.5 && Number(text) <= 1 ? Number(text) : undefined);

/** A span of recorded steps, "from,to". */
function readRange(text) {
  const [from, to, ...more] = text.split(',').map(Number);
  return !more.length && Number.isInteger(from) && Number.isInteger(to) && from >= firstStep && from < to && to <= lastStep ? [from, to] : undefined;
}

/** Marks "step:note|step:note"; notes are text and nothing else. */
function readMarks(text) {
  const found = text.split('|').filter(Boolean).map((part) => [Number(part.split(':')[0]), part.slice(part.indexOf(':') + 1).slice(0, 80)]);
  return found.length <= 50 && found.every(([step]) => Number.isInteger(step) && step >= firstStep && step <= lastStep) ? found : undefined;
}

const ANGLES = [[-180, 180], [-89, 90]];
const WINDOW = [[0.2, 200], [-20, 20], [-20, 20]];

const makeFields = () => ({
  step: { start: hasSteps ? lastStep : 0, read: whole(hasSteps ? firstStep : 0, hasSteps ? lastStep : 0) },
  view: { start: 'contour', read: oneOf('contour', '3d') },
  scale: { start: 'log', read: oneOf('log', 'linear') },
  surface: { start: 0, read: whole(0, surfaces.length - 1) },
  metric: { start: 0, read: whole(0, Math.max(0, ...surfaces.map((s) => s.metrics.length - 1))) },
  other: { start: -1, read: whole(-1, Math.max(0, ...surfaces.map((s) => s.metrics.length - 1))) },
  compare: { start: -1, read: whole(-1, surfaces.length - 1) },
  difference: { start: 'off', read: oneOf('off', 'on') },
  hidden: { start: [], read: indices(runs.length) },
  camera: { start: null, read: numbers(5, ...ANGLES, ...WINDOW) },
  window: { start: null, read: numbers(3, ...WINDOW) },
  clip: { start: null, read: readClip },
  trail: { start: 'all', read: oneOf('all', '100', '10', '0') },
  drop: { start: 'off', read: oneOf('off', 'on') },
  fade: { start: 'off', read: oneOf('off', 'on') },
  colour: { start: 'run', read: oneOf('run', 'loss', 'angle', 'rate', 'residual') },
  theme: { start: 'auto', read: oneOf('auto', 'light', 'dark') },
  speed: { start: '1', read: oneOf('0.25', '0.5', '1', '2', '4') },
  time: { start: 'steps', read: oneOf('steps', 'log', 'length') },
  loop: { start: 'off', read: oneOf('off', 'on') },
  range: { start: null, read: readRange },
  pins: { start: [], read: indices(Math.max(0, ...surfaces.map((s) => s.alpha.length * s.beta.length)), 2) },
  marks: { start: [], read: readMarks },
  curves: { start: 'on', read: oneOf('on', 'off') },
  talk: { start: 'off', read: oneOf('off', 'on') },
  scene: { start: -1, read: whole(-1, 99) },
});

let life = new AbortController();

/** Listen on the window for as long as the present content is shown. */
export const onWindow = (name, act, more = {}) => addEventListener(name, act, { ...more, signal: life.signal });

/** Nobody listens any more: other content is about to be shown. */
export function forget() {
  life.abort();
  life = new AbortController();
  listeners.length = 0;
}

let fields = {};
export const state = {};
export const initial = {};
const listeners = [];
let waiting = null;
let hashTimer = 0;

/** Take the state from the address, once the content is there. */
export function startState() {
  fields = makeFields();
  for (const [name, field] of Object.entries(fields)) initial[name] = field.start;
  Object.assign(state, initial, readHash(location.hash));
  onWindow('hashchange', () => setState({ ...initial, ...readHash(location.hash) }));
}

/** Let the last step be where the content now ends; whoever was there goes along. */
export function stretch(before) {
  const follows = Math.floor(state.step) === before;
  fields.step = makeFields().step;
  initial.step = fields.step.start;
  if (follows) setState({ step: initial.step });
  announce(['data']);
}

/** Call `listener(changed)` once per frame after changes; `changed` is the set of fields. */
export const onChange = (listener) => listeners.push(listener);

const written = (name, value) => (name === 'marks' ? value.map(([step, note]) => `${step}:${note.replaceAll('|', '/')}`).join('|') : String(value));

export function setState(patch) {
  const changed = Object.keys(patch).filter((name) => written(name, state[name] ?? '') !== written(name, patch[name] ?? ''));
  if (!changed.length) return;
  Object.assign(state, patch);
  announce(changed);
}

/** Have listeners called in the next frame. */
export function announce(changed) {
  if (!waiting) {
    waiting = new Set();
    requestAnimationFrame(flush);
  }
  changed.forEach((name) => waiting.add(name));
}

const due = [];
let telling = false;

/** Call `act(now)` in this frame, once all listeners have been told, or else in the next one. */
export function inFrame(act) {
  if (telling) due.push(act);
  else requestAnimationFrame(act);
}

function flush(now) {
  const changed = waiting ?? new Set();
  waiting = null;
  telling = true;
  for (const listener of listeners) listener(changed);
  telling = false;
  for (const act of due.splice(0)) act(now);
  clearTimeout(hashTimer);
  hashTimer = setTimeout(() => {
    try {
      history.replaceState(null, '', `#${hashOf(state)}`);
    } catch { /* a page inside a notebook has no address */ }
  }, 400);
}

/** The address part of a state: what differs from the first view. */
export function hashOf(wanted) {
  return Object.entries(fields)
    .filter(([name, field]) => written(name, wanted[name] ?? '') !== written(name, field.start ?? ''))
    .map(([name]) => `${name}=${encodeURIComponent(name === 'step' ? Math.floor(wanted.step) : written(name, wanted[name])).replaceAll('%2C', ',')}`)
    .join('&');
}

/** Values an address asks for; what is unknown or out of range is left out. */
export function readHash(hash) {
  const found = {};
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ''))) {
    const value = Object.hasOwn(fields, name) ? fields[name].read(text) : undefined;
    if (value !== undefined) found[name] = value;
  }
  return found;
}

export const isVisible = (run) => !state.hidden.includes(run.index);
export const visibleRuns = () => runs.filter(isVisible);

export function toggleRun(index) {
  const hidden = state.hidden.includes(index) ? state.hidden.filter((i) => i !== index) : [...state.hidden, index];
  setState({ hidden: hidden.sort((a, b) => a - b) });
}

/** Only this run; all of them again when it already is the only one. */
export function onlyRun(index) {
  const others = runs.map((run) => run.index).filter((i) => i !== index);
  setState({ hidden: state.hidden.join() === others.join() ? [] : others });
}

export const goTo = (step) => hasSteps && setState({ step: Math.max(firstStep, Math.min(lastStep, Math.round(step))) });
export const toggle = (field, a = 'on', b = 'off') => setState({ [field]: state[field] === a ? b : a });
