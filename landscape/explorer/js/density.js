// How the eigenvalues of the Hessian are distributed; a dot is one eigenvalue.

import { Chart } from './chart.js';
import { onChange } from './state.js';

const PENS = ['-', '--', ':', '-.'];

export function densityPanel(parent, given) {
  if (!given) return null;
  const chart = new Chart(parent, { id: 'density', title: 'Eigenvalues of the Hessian', note: 'density, smoothed; a dot is one', xLabel: 'eigenvalue' });
  const series = given.flatMap(({ name, value, bulk, known, one }, k) => {
    const pairs = [...known].sort((a, b) => a - b).flatMap((v) => [v, v]);
    const pen = { colour: 'var(--ink)', dash: PENS[k % PENS.length] };
    return [{ name, x: value, y: bulk, ...pen },
      { name: 'one eigenvalue', x: pairs, y: pairs.map((_, i) => (i % 2 ? NaN : one)), dots: pairs.map((_, i) => i).filter((i) => i % 2 === 0), faint: true, ...pen }];
  });
  const ends = [Math.min(...given.map(({ value }) => value[0])), Math.max(...given.map(({ value }) => value[value.length - 1]))];
  const draw = () => chart.show(series, ...ends, { log: true });
  onChange((changed) => changed.has('size') && draw());
  draw();
  return chart;
}
