// The step slider, and playing in steps, in log steps or at equal speed along the paths.

import { firstStep, lastStep, runs, stateAt, stepsOf, walkWindows } from './data.js';
import { el, reducedMotion, svg } from './dom.js';
import { motion } from './paths.js';
import { goTo, onChange, setState, state, visibleRuns } from './state.js';

const WHOLE_RUN_SECONDS = 12; // at speed 1

/** Share of the way that lies behind each of `count` + 1 equally spaced steps, for equal path speed. */
function lengthTable(from, to, count = 400) {
  const paths = visibleRuns().filter((run) => run.path).map((run) => run.path);
  if (!paths.length) return null;
  const table = new Float64Array(count + 1);
  for (const path of paths) {
    const [step, update] = [stepsOf(path, 'update_norm'), path.update_norm];
    const reach = [];
    let sum = 0;
    step.forEach((_, i) => reach.push(sum += Number.isFinite(update[i]) ? update[i] : 0));
    const at = (s) => reach[Math.max(0, stateAt(step, s))];
    const whole = at(to) - at(from);
    for (let k = 0; k <= count && whole > 0; k += 1) table[k] += (at(from + ((to - from) * k) / count) - at(from)) / whole / paths.length;
  }
  return table[count] > 0 ? table.map((v) => v / table[count]) : null;
}

/** The step at a share 0 … 1 of the playing time from one step to another, and its inverse. */
export function clockOf(time, from, to) {
  const span = to - from;
  if (time === 'log') {
    return { step: (u) => from + (span + 1) ** u - 1, share: (s) => Math.log(s - from + 1) / Math.log(span + 1) };
  }
  const table = time === 'length' ? lengthTable(from, to) : null;
  if (!table) return { step: (u) => from + u * span, share: (s) => (s - from) / span };
  const count = table.length - 1;
  return {
    step: (u) => {
      const k = Math.max(0, Math.min(count - 1, stateAt(table, u)));
      const inside = table[k + 1] > table[k] ? (u - table[k]) / (table[k + 1] - table[k]) : 0;
      return from + (span * (k + Math.max(0, Math.min(1, inside)))) / count;
    },
    share: (s) => {
      const at = (count * (s - from)) / span;
      const k = Math.max(0, Math.min(count - 1, Math.floor(at)));
      return table[k] + (at - k) * (table[k + 1] - table[k]);
    },
  };
}

export function makePlayer(parent) {
  const slider = el('input', { type: 'range', id: 'step', min: firstStep, max: lastStep, step: 1, 'aria-label': 'step' });
  const button = el('button', { type: 'button', class: 'play', id: 'play', title: 'play (space)' });
  const said = new Text();
  const readout = el('output', { for: 'step', id: 'readout' }, said);
  const bands = el('div', { class: 'bands', 'aria-hidden': 'true' });
  const choice = (id, label, options) => {
    const select = el('select', { 'aria-label': label, id, title: label, onchange: () => setState({ [id]: select.value }) }, ...options.map(([v, t]) => el('option', { value: v }, t)));
    return select;
  };
  const selects = [
    choice('speed', 'speed', ['0.25', '0.5', '1', '2', '4'].map((v) => [v, `${v.replace('0.25', '¼').replace('0.5', '½')}×`])),
    choice('time', 'time runs by', [['steps', 'steps'], ['log', 'log steps'], ...(runs.some((run) => run.path) ? [['length', 'path length']] : [])]),
    choice('trail', 'trail', [['all', 'whole trail'], ['100', '100 steps'], ['10', '10 steps'], ['0', 'no trail']]),
  ];
  const loop = el('button', { type: 'button', class: 'tool', id: 'loop', title: 'play again and again', onclick: () => setState({ loop: state.loop === 'on' ? 'off' : 'on' }) }, 'Loop');
  const clear = el('button', { type: 'button', class: 'tool', id: 'range', title: 'show and play all steps again', onclick: () => setState({ range: null }) });
  parent.append(button, el('div', { class: 'track' }, bands, slider), readout, ...selects, loop, clear);
  let playing = null;

  const icon = () => {
    button.replaceChildren(svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' },
      svg('path', { d: playing ? 'M3 2h3.5v12H3zM9.5 2H13v12H9.5z' : 'M4 1.8 14 8 4 14.2z' })));
    button.setAttribute('aria-label', playing ? 'pause' : 'play');
  };

  function stop() {
    if (!playing) return;
    cancelAnimationFrame(playing.frame);
    const { done } = playing;
    playing = null;
    motion.smooth = false;
    setState({ step: Math.floor(state.step) });
    icon();
    done?.();
  }

  function play([from, to] = state.range ?? [firstStep, lastStep], again = state.loop === 'on') {
    if (playing) stop();
    const clock = clockOf(state.time, from, to);
    const start = state.step >= to || state.step < from ? from : Math.floor(state.step);
    playing = { share: clock.share(start), then: null, at: start, frame: 0 };
    motion.smooth = !reducedMotion.matches;
    setState({ step: start });
    const advance = (now) => {
      if (!playing) return;
      const seconds = playing.then === null ? 0 : Math.min(0.1, (now - playing.then) / 1000);
      playing.then = now;
      playing.share += (Number(state.speed) * seconds) / WHOLE_RUN_SECONDS;
      if (playing.share >= 1 && again) playing.share = 0;
      else if (playing.share >= 1) { setState({ step: to }); stop(); return; }
      playing.at = Math.max(from, Math.min(to, clock.step(playing.share)));
      setState({ step: reducedMotion.matches ? Math.floor(playing.at) : playing.at });
      playing.frame = requestAnimationFrame(advance);
    };
    playing.frame = requestAnimationFrame(advance);
    icon();
  }

  /** Play from one step to another once; resolves when that is over. */
  function once(from, to) {
    setState({ step: from });
    state.step = from;
    play([from, to], false);
    return new Promise((done) => { playing.done = done; });
  }

  const togglePlay = () => (playing ? stop() : play());
  button.addEventListener('click', togglePlay);
  slider.addEventListener('input', () => { if (playing) stop(); goTo(Number(slider.value)); });

  const place = (step) => `${(100 * (step - firstStep)) / (lastStep - firstStep || 1)}%`;
  const drawBands = () => {
    const band = (kind, [a, b], title, onclick) => el('button', { type: 'button', tabindex: -1, class: kind, title, onclick, style: `left:${place(a)};width:calc(${place(b)} - ${place(a)})` });
    bands.replaceChildren(
      ...(state.range ? [band('chosen', state.range, 'chosen range')] : []),
      ...walkWindows().map(([a, b]) => band('window', [a, b], `loss between steps measured at ${a}–${b}: go there`, () => goTo(a))),
      ...state.marks.map(([step, note]) => band('flag', [step, step], `step ${step}: ${note}`, () => goTo(step))));
  };

  const update = () => {
    const step = Math.floor(state.step);
    slider.value = step;
    slider.setAttribute('aria-valuetext', `step ${step} of ${lastStep}`);
    slider.style.setProperty('--share', place(step));
    said.data = `step ${step} / ${lastStep}`;
    readout.style.width = `${2 * String(lastStep).length + 6.5}ch`; // whatever it says: nothing beside it is laid out anew
    if (playing && Math.abs(state.step - playing.at) > 1) stop();
  };
  const choices = () => {
    for (const select of selects) select.value = state[select.id];
    loop.setAttribute('aria-pressed', String(state.loop === 'on'));
    clear.hidden = !state.range;
    clear.textContent = state.range ? `${state.range[0]}–${state.range[1]} ✕` : '';
    drawBands();
  };
  onChange((changed) => {
    if (changed.has('data')) Object.assign(slider, { min: firstStep, max: lastStep });
    if (changed.has('step') || changed.has('data')) update();
    if (['speed', 'trail', 'time', 'loop', 'range', 'marks', 'data'].some((name) => changed.has(name))) choices();
    if (playing && ['time', 'range', 'loop'].some((name) => changed.has(name))) play();
  });
  icon();
  update();
  choices();
  return { togglePlay, play, stop, once, isPlaying: () => Boolean(playing) };
}
