// Sizes of the gradient's entries over steps: which share of them lies in each factor of two.

import { runs } from './data.js';
import { percent, short, superscript } from './format.js';
import { HeatPanel } from './heat.js';
import { isVisible } from './state.js';

/** What the first run that is not hidden has; large sizes above. @returns {import('./heat.js').Rows | null} */
function sizeRows(given) {
  const part = given.find(({ run }) => !runs[run] || isVisible(runs[run]));
  if (!part) return null;
  const { name, run, every, step, size, share, zero } = part;
  const most = share.reduce((a, b) => (b > a ? b : a), 0);
  const value = (row, k) => share[(size.length - 1 - row) * step.length + k];
  const shown = runs[run]?.short ?? name;
  const gone = zero.reduce((a, b) => (b > a ? b : a), 0);
  return {
    names: Array.from(size, (v) => `2${superscript(Math.round(Math.log2(v)))}`).reverse(), step,
    share: (row, k) => (value(row, k) > 0 ? value(row, k) / most : NaN),
    told: (row, k) => [['size', `${short(size[size.length - 1 - row])} to ${short(2 * size[size.length - 1 - row])}`], ['share of the entries', percent(value(row, k))], ['zero', percent(zero[k])]],
    note: [shown, `up to ${percent(most)} in a factor of two`, gone >= 0.005 && `up to ${percent(gone)} are zero`, every > 1 && `1 step in ${every}`].filter(Boolean).join(', '),
    label: `Sizes of the entries of the gradient of ${shown} over the steps, from ${short(size[0], 2)} to ${short(2 * size[size.length - 1], 2)}`,
  };
}

/** The panel of a page whose gradients were counted. */
export const gradientsPanel = (parent, given) => given && new HeatPanel(parent, { id: 'gradients', title: 'Sizes of gradient entries', given: () => sizeRows(given) });
