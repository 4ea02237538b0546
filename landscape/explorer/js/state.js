// One state, rendered once per animation frame and mirrored to the address; what comes back from
// an address is checked before it is used.

const whole = (low, high) => (text) => {
  const value = Number(text);
  return Number.isInteger(value) && value >= low && value <= high ? value : undefined;
};
const oneOf = (...allowed) => (text) => (allowed.includes(text) ? text : undefined);

const readCamera = (text) => {
  const numbers = text.split(',').map(Number);
  return numbers.length === 9 && numbers.every((n) => Number.isFinite(n) && Math.abs(n) <= 10) ? numbers : undefined;
};
const readHidden = (text) => {
  const numbers = [...new Set(text.split(',').filter(Boolean).map(Number))].sort((a, b) => a - b);
  return numbers.every((n) => Number.isInteger(n) && n >= 0 && n < runs.length) ? numbers : undefined;
};
const readClip = (text) => {
  const value = Number(text);
  return text !== '' && value >= 0.5 && value <= 1 ? value : undefined;
};

const fields = {
  step: { start: stepOfGreatestDifference(), read: whole(hasSteps ? firstStep : 0, hasSteps ? lastStep : 0) },
  view: { start: 'contour', read: oneOf('contour', '3d') },
  scale: { start: 'log', read: oneOf('log', 'linear') },
  surface: { start: 0, read: whole(0, surfaces.length - 1) },
  metric: { start: 0, read: whole(0, Math.max(0, ...surfaces.map((s) => s.metrics.length - 1))) },
  compare: { start: -1, read: whole(-1, surfaces.length - 1) },
  hidden: { start: [], read: readHidden },
  camera: { start: null, read: readCamera },
  clip: { start: null, read: readClip },
  trail: { start: 'all', read: oneOf('all', '100', '10', '0') },
  drop: { start: 'off', read: oneOf('off', 'on') },
  theme: { start: 'auto', read: oneOf('auto', 'light', 'dark') },
  speed: { start: '1', read: oneOf('0.25', '0.5', '1', '2', '4') },
};

const state = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.start]));
const initial = { ...state };
const listeners = [];
let waiting = null;
let hashTimer = 0;

/** Call `listener(changed)` once per frame after changes; `changed` is the set of fields. */
const onChange = (listener) => listeners.push(listener);

function setState(patch) {
  const changed = Object.keys(patch).filter((name) => String(state[name]) !== String(patch[name]));
  if (!changed.length) return;
  Object.assign(state, patch);
  announce(changed);
}

/** Have listeners called in the next frame. */
function announce(changed) {
  if (!waiting) {
    waiting = new Set();
    requestAnimationFrame(flush);
  }
  changed.forEach((name) => waiting.add(name));
}

function flush() {
  const changed = waiting ?? new Set();
  waiting = null;
  for (const listener of listeners) listener(changed);
  clearTimeout(hashTimer);
  hashTimer = setTimeout(writeHash, 200);
}

function writeHash() {
  const parts = Object.entries(fields)
    .filter(([name, field]) => String(state[name]) !== String(field.start))
    .map(([name]) => `${name}=${name === 'step' ? Math.floor(state.step) : state[name]}`);
  history.replaceState(null, '', `#${parts.join('&')}`);
}

/** Values an address asks for; what is unknown or out of range is left out. */
function readHash(hash) {
  const found = {};
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ''))) {
    const value = Object.hasOwn(fields, name) ? fields[name].read(text) : undefined;
    if (value !== undefined) found[name] = value;
  }
  return found;
}

Object.assign(state, readHash(location.hash));
addEventListener('hashchange', () => setState({
  ...initial,
  ...readHash(location.hash),
}));

const isVisible = (run) => !state.hidden.includes(run.index);
const visibleRuns = () => runs.filter(isVisible);

function toggleRun(index) {
  const hidden = state.hidden.includes(index) ? state.hidden.filter((i) => i !== index) : [...state.hidden, index];
  setState({ hidden: hidden.sort((a, b) => a - b) });
}

const goTo = (step) => hasSteps && setState({ step: Math.max(firstStep, Math.min(lastStep, Math.round(step))) });
