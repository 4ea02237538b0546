// Sharpness at the states of runs, against the thresholds of their optimizers.

import { runs } from './data.js';
import { visibleRuns } from './state.js';

const measured = () => visibleRuns().filter((run) => run.sharpness);

function curves() {
  return measured().flatMap((run) => {
    const { step, sharpness, threshold } = run.sharpness;
    const base = { run, name: run.short, colour: `var(--run-${run.index})`, x: step };
    const limit = threshold.some(Number.isFinite) && { ...base, name: `${run.short}: threshold`, dash: ':', thin: true, y: threshold };
    return [limit, { ...base, dash: run.dash, y: sharpness }].filter(Boolean);
  });
}

function note() {
  const said = new Set(measured().map((run) => run.condition).filter(Boolean));
  if (!said.size) return 'no threshold known';
  return said.size === 1 ? `dotted: ${[...said][0]}` : 'dotted: threshold of each optimizer';
}

export const sharpnessPanel = {
  id: 'sharpness', title: 'Sharpness', place: 'side', present: () => runs.some((run) => run.sharpness), curves, note,
};
