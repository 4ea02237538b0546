// The drawer "what this does not show", the help, and the line under the title.

import { content, lossAt, runs, surfaces } from './data.js';
import { el } from './dom.js';
import { short } from './format.js';
import { state, visibleRuns } from './state.js';

export function makeDialog(id, title, ...children) {
  const dialog = el('dialog', { id, 'aria-labelledby': `${id}-title` },
    el('header', {}, el('h2', { id: `${id}-title` }, title),
      el('button', { type: 'button', class: 'quiet', 'aria-label': 'close', onclick: () => dialog.close() }, '✕')), ...children);
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  return dialog;
}

function sourceEntry(source) {
  const rows = [
    ...Object.entries(source.settings),
    ['measured', source.time], ['command', source.command],
    ['versions', Object.entries(source.versions).map(([k, v]) => `${k} ${v}`).join(', ')],
  ].filter(([, value]) => value);
  return el('details', {}, el('summary', {}, `${source.key} `, el('small', {}, [source.kind, source.file].filter(Boolean).join(' · '))),
    el('dl', {}, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])));
}

export function makeNotes() {
  const body = el('div', { class: 'body' });
  const dialog = makeDialog('notes', 'What this does not show', body);
  return () => {
    const surface = surfaces[state.surface];
    const walked = runs.filter((run) => run.walk).length;
    const sections = [
      ...(surface?.notes ?? []),
      ...(walked ? [['Between steps', 'Losses on the straight segments between consecutive recorded states, in the full parameter space; a low floor there is not a valley of this plane.']] : []),
      ...(runs.some((run) => run.path) ? [['Faint curves', 'The mini-batch loss recorded during training, before the update into a state; another data set at every step.']] : []),
      ...(surface ? [['Between the points', 'Heights and isolines between measured points are interpolated (monotone cubic, no new extremes); a value on hover or at a pin is that of a stored point.']] : []),
      ['Numbers', 'Seven significant digits (float32) travel in this page; the results files keep all of them.'],
    ];
    body.replaceChildren(
      ...sections.map(([heading, text]) => el('section', {}, el('h3', {}, heading), el('p', {}, text))),
      el('h3', {}, 'Where every number comes from'), ...content.sources.map(sourceEntry));
    dialog.showModal();
  };
}

const KEYS = [
  ['space', 'play or pause'], ['← →', 'one step (with shift: ten)'], ['Home End', 'first, last step'], ['1 … 9', 'show or hide a run (with shift: only this one)'],
  ['v', 'map or terrain'], ['+ − 0', 'zoom in, out, the whole again'], ['l', 'logarithmic or linear loss'], ['c', 'compare two surfaces'], ['d', 'drop the runs onto the surface'],
  ['m', 'mark this step'], ['n', 'next scene of the story'], ['p', 'talk: large type, no controls'], ['b', 'table'], ['k', 'curves'],
  ['t', 'light or dark'], ['i', 'what this does not show'], ['?', 'this help'],
];

export function makeHelp() {
  const dialog = makeDialog('help', 'Keys and gestures',
    el('dl', { class: 'keys' }, ...KEYS.flatMap(([keys, what]) => [el('dt', {}, ...keys.split(' ').map((k) => el('kbd', {}, k))), el('dd', {}, what)])),
    el('p', {}, 'Drag the map to move it, the terrain to turn it (with shift: to move it). Ctrl and the wheel, or two fingers, zoom. Click or tap a path to go to that step, the ground to pin a measured point; two pins make a slice. Double-click for the whole. Drag on a curve to move through the steps, with shift to choose a range. Double-click a run for only that one, shift-click to build up a few. In the terrain, parts of a path behind or below the ground are dotted. The address keeps the present view.'));
  return () => dialog.showModal();
}

/** One sentence about the present step: who is lowest, who is highest, who is lost. */
export function sentence(step) {
  const found = visibleRuns().map((run) => [run.short, lossAt(run, step)]).filter(([, loss]) => loss !== undefined);
  const finite = found.filter(([, loss]) => Number.isFinite(loss)).sort((a, b) => a[1] - b[1]);
  const lost = found.filter(([, loss]) => !Number.isFinite(loss)).map(([name]) => name);
  const parts = [];
  if (finite.length) {
    const [[low, least], [high, most]] = [finite[0], finite[finite.length - 1]];
    parts.push(finite.length === 1 ? `At step ${step} ${low} is at loss ${short(least)}.`
      : `At step ${step} ${low} is lowest, at loss ${short(least)}; ${high} is highest, at ${short(most)}.`);
  }
  if (lost.length) parts.push(`No finite loss: ${lost.join(', ')}.`);
  return parts.join(' ');
}
