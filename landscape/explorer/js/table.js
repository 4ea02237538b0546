// The read-out: what every run is doing at the present step.

import { endOf, pathOf, runs, surfaces, valueAt } from './data.js';
import { el } from './dom.js';
import { short } from './format.js';
import { emphasiseOn } from './legend.js';
import { sample } from './markers.js';
import { isVisible, onChange, state } from './state.js';

/** @type {[string, string, (run: any, step: number) => number | undefined, string][]} */
const COLUMNS = [
  ['loss', 'Loss', (run, step) => valueAt(run.measured, 'loss', step), 'measured on the data, at the state itself'],
  ['batch', 'Mini-batch', (run, step) => valueAt(run.path, 'losses', step), 'recorded loss of the mini-batch before the update into this state'],
  ['plane', 'In plane', (run, step) => valueAt(pathOf(surfaces[state.surface], run), 'inPlane', step), 'loss measured at the projection on the plane'],
  ['off', 'Off plane', (run, step) => valueAt(pathOf(surfaces[state.surface], run), 'residual', step), 'distance from the plane'],
  ['cosine', 'cos ∠', (run, step) => valueAt(run.path, 'cosine', step), 'cosine of the angle between this update and the one before'],
  ['distance', '‖θ−θ₀‖', (run, step) => valueAt(run.path, 'distance', step), 'distance from initialization'],
  ['update', '‖update‖', (run, step) => valueAt(run.path, 'update_norm', step), 'length of the update'],
  ['lr', 'Learning rate', (run, step) => valueAt(run.path, 'learning_rate', step), 'recorded learning rate of the update'],
];

const cellText = (value) => (value === undefined ? '–' : short(value, 4));

/** Columns of which some run has a number somewhere. */
const presentColumns = () => COLUMNS.filter(([, , value]) => runs.some((run) => {
  const end = endOf(run);
  return value(run, end) !== undefined || value(run, Math.floor(end / 2)) !== undefined;
}));

export function makeTable(parent) {
  const columns = presentColumns();
  const body = el('tbody');
  const table = el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Run'),
    ...columns.map(([, title, , about]) => el('th', { scope: 'col', title: about }, title)))), body);
  parent.append(table);
  const rows = runs.map((run) => {
    const note = el('small');
    const cells = columns.map(([id, title]) => el('td', { 'data-column': id, 'data-title': title }));
    const row = el('tr', { 'data-run': run.index }, el('th', { scope: 'row' }, sample(run), el('bdi', {}, run.name), note), ...cells);
    body.append(emphasiseOn(row, run));
    return { run, row, cells, note };
  });
  const update = () => {
    if (parent.closest('[hidden]')) return;
    const step = Math.floor(state.step);
    for (const { run, row, cells, note } of rows) {
      row.classList.toggle('off', !isVisible(run));
      columns.forEach(([, , value], k) => {
        const text = cellText(value(run, step));
        if (cells[k].textContent !== text) cells[k].textContent = text;
      });
      const end = endOf(run);
      const about = run.told ?? (step > end ? `ended at step ${end}` : '');
      if (note.textContent !== about) note.textContent = about;
    }
  };
  onChange((changed) => ['step', 'hidden', 'surface', 'table', 'data'].some((name) => changed.has(name)) && update());
  update();
}
