// Layers over steps: how large the update of every tensor is against its weights.

import { runs } from './data.js';
import { short } from './format.js';
import { HeatPanel } from './heat.js';
import { isVisible } from './state.js';
import { extentOf, scaleOf } from './ticks.js';

/** What the first visible run has. @returns {import('./heat.js').Rows | null} */
function layerRows() {
  const run = runs.find((one) => one.layers && isVisible(one));
  if (!run) return null;
  const { names, step, ratio } = run.layers;
  const range = extentOf([ratio], true);
  const scale = range && scaleOf(range[0], range[1], 0, 1, true);
  const value = (row, k) => ratio[row * step.length + k];
  return {
    names, step,
    share: (row, k) => (value(row, k) > 0 && value(row, k) < Infinity ? scale(value(row, k)) : NaN),
    told: (row, k) => [['‖update‖ / ‖weights‖', short(value(row, k), 4)]],
    note: `${run.short}${range ? `, ${short(range[0], 2)} … ${short(range[1], 2)}` : ''}`,
    label: `‖update‖ / ‖weights‖ of ${names.length} tensors of ${run.short} over the steps`,
  };
}

/** The panel of a page whose layers were measured. */
export const layersPanel = (parent) => (runs.some((run) => run.layers) ? new HeatPanel(parent, { id: 'layers', title: 'Updates against weights, by layer', given: layerRows }) : null);
