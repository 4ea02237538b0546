// Traces of the Hessian: a bar for the diagonal block of every tensor.

import { el } from './dom.js';
import { short } from './format.js';

function traceOf({ name, total, error, probes, tensors, value, errors }) {
  const most = Math.max(...Array.from(value, Math.abs)) || 1;
  const row = (tensor, k) => el('div', { role: 'row', 'data-tensor': tensor },
    el('span', { role: 'rowheader', title: tensor }, el('bdi', {}, tensor)),
    el('span', { role: 'cell', class: 'bar-cell' }, el('i', { class: value[k] < 0 ? 'negative' : null, style: `width:${((100 * Math.abs(value[k])) / most).toFixed(2)}%` })),
    el('span', { role: 'cell', class: 'number' }, `${short(value[k])} ± ${short(errors[k], 2)}`));
  return [
    el('p', {}, el('bdi', {}, name), ` ${short(total)} ± ${short(error, 2)} `, el('span', { class: 'note' }, `${probes} probes`)),
    el('div', { class: 'bars', role: 'table', 'aria-label': `trace by tensor, ${name}` }, ...tensors.map(row)),
  ];
}

/** The panel of a page whose traces were measured. */
export function tracePanel(parent, given) {
  if (!given) return null;
  const panel = el('section', { class: 'panel matrix-panel', id: 'panel-trace' },
    el('header', {}, el('h2', {}, 'Trace of the Hessian'), el('span', { class: 'note' }, 'by tensor, ± standard error over the probes')), ...given.flatMap(traceOf));
  parent.append(panel);
  return panel;
}
