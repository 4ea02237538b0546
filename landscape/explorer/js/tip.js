// Small boxes that say what is under the pointer, in stored numbers.

import { el } from './dom.js';
import { short } from './format.js';

export const tipRow = (name, value) => el('div', { class: 'row' }, el('span', {}, name), el('span', { class: 'number' }, value));

/** Fill a tooltip and keep it inside its box. */
export function showTip(tip, box, event, children) {
  tip.replaceChildren(...children);
  tip.hidden = false;
  const frame = box.getBoundingClientRect();
  const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
  const left = x + 14 + tip.offsetWidth > frame.width ? Math.max(0, x - 14 - tip.offsetWidth) : x + 14;
  tip.style.transform = `translate(${left}px, ${Math.max(-frame.top, Math.min(y + 12, innerHeight - frame.top - tip.offsetHeight - 4))}px)`;
}

/** Rows about a stored point of a surface. */
export function groundTip({ surface, metric, values, top, low, log }, { i, j }) {
  const k = j * surface.alpha.length + i;
  const error = surface.error[metric]?.[k];
  const value = surface.computed[k] ? short(values[k], 5) : 'not computed';
  return [
    tipRow(surface.metrics[metric], value),
    surface.measured && !surface.measured[k] ? tipRow('interpolated', '') : '',
    surface.within[metric]?.[k] > 0 ? tipRow('± error (95 %)', short(surface.within[metric][k], 2)) : error > 0 ? tipRow('± standard error', short(error, 2)) : '',
    values[k] > top ? tipRow('drawn at', short(top)) : log && values[k] < low ? tipRow('drawn at', short(low)) : '',
    tipRow(surface.labels[0], short(surface.alpha[i])), tipRow(surface.labels[1], short(surface.beta[j])),
  ];
}

/** Rows about a state of a run. */
export function runTip({ run, path, colour }, i) {
  return [
    el('div', { class: 'row' }, el('i', { style: `background:${colour}` }), el('b', {}, run.name), el('span', { class: 'number' }, `step ${path.step[i]}`)),
    path.loss ? tipRow('loss', short(path.loss[i], 4)) : '', path.inPlane ? tipRow('loss in plane', short(path.inPlane[i], 4)) : '',
    tipRow('off plane', short(path.residual[i])),
  ];
}
