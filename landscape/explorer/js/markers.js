// Marker shapes, by matplotlib's letters, so that figures and page agree.

const polygon = (corners, radius, turn) => `M${Array.from({ length: corners }, (_, k) => {
  const a = turn + (2 * Math.PI * k) / corners;
  return `${(radius * Math.sin(a)).toFixed(2)} ${(-radius * Math.cos(a)).toFixed(2)}`;
}).join('L')}Z`;

const PLUS = 'M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z';

const MARKERS = {
  o: 'M0-5.2A5.2 5.2 0 1 1 0 5.2A5.2 5.2 0 1 1 0-5.2Z',
  s: 'M-4.7-4.7H4.7V4.7H-4.7Z',
  D: polygon(4, 6.4, 0),
  '^': polygon(3, 6.6, 0),
  v: polygon(3, 6.6, Math.PI),
  P: PLUS,
  X: 'M-5.7-2.9L-2.9-5.7L0-2.9L2.9-5.7L5.7-2.9L2.9 0L5.7 2.9L2.9 5.7L0 2.9L-2.9 5.7L-5.7 2.9L-2.9 0Z',
  p: polygon(5, 6, 0),
};

const markerPath = (run) => MARKERS[run.marker] ?? MARKERS.o;

/** A short sample of a run's line and marker for legends. */
const sample = (run) => svg('svg', { class: 'sample', viewBox: '0 0 34 16', width: 34, height: 16, 'aria-hidden': 'true' },
  svg('path', { d: 'M1 8H33', class: 'curve', style: `stroke:var(--run-${run.index})`, 'stroke-dasharray': DASHES[run.dash] }),
  svg('path', { d: markerPath(run), transform: 'translate(17 8)', class: 'marker', style: `--colour:var(--run-${run.index})` }));
