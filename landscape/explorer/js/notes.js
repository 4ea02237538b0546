// The drawer "what this does not show", the help, and the line under the title.

function makeDialog(id, title, ...children) {
  const dialog = el('dialog', { id, 'aria-labelledby': `${id}-title` },
    el('header', {}, el('h2', { id: `${id}-title` }, title),
      el('button', { type: 'button', class: 'quiet', 'aria-label': 'close', onclick: () => dialog.close() }, '✕')), ...children);
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  return dialog;
}

function sourceEntry(source) {
  const rows = [
    ...Object.entries(source.settings),
    ['measured', source.time], ['command', source.command],
    ['versions', Object.entries(source.versions).map(([k, v]) => `${k} ${v}`).join(', ')],
  ].filter(([, value]) => value);
  return el('details', {}, el('summary', {}, `${source.key} `, el('small', {}, [source.kind, source.file].filter(Boolean).join(' · '))),
    el('dl', {}, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])));
}

function makeNotes() {
  const body = el('div', { class: 'body' });
  const dialog = makeDialog('notes', 'What this does not show', body);
  return () => {
    const surface = surfaces[state.surface];
    const walked = runs.filter((run) => run.walk).length;
    const sections = [
      ...(surface?.notes ?? []),
      ...(walked ? [['Between steps', 'Losses on the straight segments between consecutive recorded states, in the full parameter space; a low floor there is not a valley of this plane.']] : []),
      ...(runs.some((run) => run.path) ? [['Faint curves', 'The mini-batch loss recorded during training, before the update into a state; another data set at every step.']] : []),
      ['Numbers', 'Seven significant digits (float32) travel in this page; the results files keep all of them.'],
    ];
    body.replaceChildren(
      ...sections.map(([heading, text]) => el('section', {}, el('h3', {}, heading), el('p', {}, text))),
      el('h3', {}, 'Where every number comes from'), ...content.sources.map(sourceEntry));
    dialog.showModal();
  };
}

const KEYS = [
  ['space', 'play or pause'], ['← →', 'one step (with shift: ten)'], ['Home End', 'first, last step'], ['1 … 9', 'show or hide a run'],
  ['v', 'contour or 3-D'], ['l', 'logarithmic or linear loss'], ['c', 'compare two surfaces'], ['d', 'drop the runs onto the surface'],
  ['t', 'light or dark'], ['0', 'back to the first view'], ['i', 'what this does not show'], ['?', 'this help'],
];

function makeHelp() {
  const dialog = makeDialog('help', 'Keys and gestures',
    el('dl', { class: 'keys' }, ...KEYS.flatMap(([keys, what]) => [el('dt', {}, ...keys.split(' ').map((k) => el('kbd', {}, k))), el('dd', {}, what)])),
    el('p', {}, 'Drag on a curve to move through the steps. Click a path to go to that step. Scroll to zoom the landscape, drag to move or turn it, double-click to reset. The address keeps the present view: copy it to share it with the page.'));
  return () => dialog.showModal();
}

/** One sentence about the present step: who is lowest, who is highest, who is lost. */
function sentence(step) {
  const found = visibleRuns().map((run) => [run.name, lossAt(run, step)]).filter(([, loss]) => loss !== undefined);
  const finite = found.filter(([, loss]) => Number.isFinite(loss)).sort((a, b) => a[1] - b[1]);
  const lost = found.filter(([, loss]) => !Number.isFinite(loss)).map(([name]) => name);
  const parts = [];
  if (finite.length) {
    const [[low, least], [high, most]] = [finite[0], finite[finite.length - 1]];
    parts.push(finite.length === 1 ? `At step ${step} ${low} is at loss ${short(least)}.`
      : `At step ${step} ${low} is lowest, at loss ${short(least)}; ${high} is highest, at ${short(most)}.`);
  }
  if (lost.length) parts.push(`No finite loss: ${lost.join(', ')}.`);
  return parts.join(' ');
}
