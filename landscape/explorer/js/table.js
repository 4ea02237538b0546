// The read-out: what every run is doing at the present step.

const COLUMNS = [
  ['loss', 'Loss', (run, step) => valueAt(run.measured, 'loss', step), 'measured on the data, at the state itself'],
  ['batch', 'Mini-batch', (run, step) => valueAt(run.path, 'losses', step), 'recorded loss of the mini-batch before the update into this state'],
  ['plane', 'In plane', (run, step) => valueAt(pathOf(surfaces[state.surface], run), 'inPlane', step), 'loss measured at the projection on the plane'],
  ['off', 'Off plane', (run, step) => valueAt(pathOf(surfaces[state.surface], run), 'residual', step), 'distance from the plane'],
  ['cosine', 'cos ∠', (run, step) => valueAt(run.path, 'cosine', step), 'cosine of the angle between this update and the one before'],
  ['distance', '‖θ−θ₀‖', (run, step) => valueAt(run.path, 'distance', step), 'distance from initialization'],
  ['update', '‖update‖', (run, step) => valueAt(run.path, 'update_norm', step), 'length of the update'],
  ['lr', 'Learning rate', (run, step) => valueAt(run.path, 'learning_rate', step), 'recorded learning rate of the update'],
];

const cellText = (value) => (value === undefined ? '–' : short(value, 4));

/** Last step at which a run has any state. */
function endOf(run) {
  return Math.max(...[run.path?.step, run.measured?.step, run.walk?.next].filter((s) => s?.length).map((s) => s[s.length - 1]));
}

function makeTable(parent) {
  const body = el('tbody');
  const table = el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Run'),
    ...COLUMNS.map(([, title, , about]) => el('th', { scope: 'col', title: about }, title)))), body);
  parent.append(table);
  const rows = runs.map((run) => {
    const note = el('small');
    const cells = COLUMNS.map(([id, title]) => el('td', { 'data-column': id, 'data-title': title }));
    const row = el('tr', { 'data-run': run.index }, el('th', { scope: 'row' }, sample(run), el('bdi', {}, run.name), note), ...cells);
    body.append(emphasiseOn(row, run));
    return { run, row, cells, note, end: endOf(run) };
  });
  const update = () => {
    const step = Math.floor(state.step);
    for (const { run, row, cells, note, end } of rows) {
      row.classList.toggle('off', !isVisible(run));
      COLUMNS.forEach(([, , value], k) => {
        const text = cellText(value(run, step));
        if (cells[k].textContent !== text) cells[k].textContent = text;
      });
      const ended = step > end ? `ended at step ${end}` : '';
      if (note.textContent !== ended) note.textContent = ended;
    }
  };
  onChange((changed) => ['step', 'hidden', 'surface'].some((name) => changed.has(name)) && update());
  update();
}
