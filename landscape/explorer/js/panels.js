// Panels that appear when something was measured. To add one: a module with
// `(parent, given) => panel`, null when there is nothing to show, and a line here; `given` is what
// the page's content holds under the same name (see panels/__init__.py).

import { panels } from './data.js';
import { densityPanel } from './density.js';
import { gradientsPanel } from './gradients.js';
import { layersPanel } from './layers.js';
import { sharpnessPanel } from './sharpness.js';
import { tracePanel } from './trace.js';

const PANELS = {
  layers: layersPanel,
  sharpness: sharpnessPanel,
  density: densityPanel,
  trace: tracePanel,
  gradients: gradientsPanel,
};

export function makePanels(parent) {
  return Object.fromEntries(Object.entries(PANELS).map(([name, make]) => [name, make(parent, panels[name])]).filter(([, panel]) => panel));
}
