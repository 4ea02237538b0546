// Marker shapes, by matplotlib's letters, so that figures and page agree.

import { svg } from './dom.js';

const polygon = (corners, radius, turn) => `M${Array.from({ length: corners }, (_, k) => {
  const a = turn + (2 * Math.PI * k) / corners;
  return `${(radius * Math.sin(a)).toFixed(2)} ${(-radius * Math.cos(a)).toFixed(2)}`;
}).join('L')}Z`;

const MARKERS = {
  o: 'M0-5.2A5.2 5.2 0 1 1 0 5.2A5.2 5.2 0 1 1 0-5.2Z',
  s: 'M-4.7-4.7H4.7V4.7H-4.7Z',
  D: polygon(4, 6.4, 0),
  '^': polygon(3, 6.6, 0),
  v: polygon(3, 6.6, Math.PI),
  P: 'M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z',
  X: 'M-5.7-2.9L-2.9-5.7L0-2.9L2.9-5.7L5.7-2.9L2.9 0L5.7 2.9L2.9 5.7L0 2.9L-2.9 5.7L-5.7 2.9L-2.9 0Z',
  p: polygon(5, 6, 0),
};

export const CIRCLE = MARKERS.o;
export const ARROW = 'M6 0L-4-5L-4 5Z';

/** Dashes by matplotlib's names, in pixels: on, off, on, off. */
export const DASHES = { '-': null, '--': [8, 4, 0, 0], '-.': [9, 3.5, 2, 3.5], ':': [2, 3, 0, 0] };
/** Where the ground hides a path. */
export const HIDDEN = [3, 4, 0, 0];
export const svgDashes = (dash) => DASHES[dash]?.filter(Boolean).join(' ') ?? null;

export const markerPath = (run) => MARKERS[run.marker] ?? MARKERS.o;

/** A short sample of a run's line and marker for legends. */
export const sample = (run) => svg('svg', { class: 'sample', viewBox: '0 0 34 16', 'aria-hidden': 'true' },
  svg('path', { d: 'M1 8H33', class: 'curve', style: `stroke:var(--run-${run.index})`, 'stroke-dasharray': svgDashes(run.dash) }),
  svg('path', { d: markerPath(run), transform: 'translate(17 8)', class: 'marker', style: `--colour:var(--run-${run.index})` }));
