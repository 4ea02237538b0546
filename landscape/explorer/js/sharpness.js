// Sharpness along the runs, faint beside it the threshold of each optimizer.

import { Chart, curveOf } from './chart.js';
import { firstStep, lastStep, runs } from './data.js';
import { isVisible, onChange, state } from './state.js';

export function sharpnessPanel(parent, given) {
  if (!given) return null;
  const conditions = [...new Set(given.map((part) => part.condition).filter(Boolean))];
  const note = conditions.length ? `faint: the threshold, ${conditions.join('; ')}` : 'λ₁ of the Hessian';
  const chart = new Chart(parent, { id: 'sharpness', title: 'Sharpness', note, scrub: true });
  const series = ({ name, run, step, sharpness, threshold }) => {
    if (runs[run] && !isVisible(runs[run])) return [];
    const one = (y, more) => (runs[run] ? curveOf(runs[run], step, y, more) : { name, colour: 'var(--ink)', dash: '-', x: step, y, ...more });
    return [one(threshold, { faint: true }), one(sharpness)];
  };
  const draw = () => chart.show(given.flatMap(series), ...(state.range ?? [firstStep, lastStep]), { log: true });
  onChange((changed) => {
    if (['hidden', 'range', 'marks', 'size'].some((name) => changed.has(name))) draw();
    else if (changed.has('step')) chart.cursor(state.step);
  });
  draw();
  return chart;
}
