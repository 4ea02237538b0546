// What buttons and keys do.

import { content, surfaces } from './data.js';
import { byId, el, narrow } from './dom.js';
import { makeDialog } from './notes.js';
import { announce, hashOf, setState, state } from './state.js';
import { hasWebGL } from './webgl.js';

/** A line that is shown and read aloud. */
export const say = (text) => { byId('say').textContent = text; };

/** Map or terrain. */
export function switchView(view) {
  if (view === '3d' && !hasWebGL()) {
    say('This browser has no WebGL, which the terrain needs; the map shows the same numbers.');
    return;
  }
  setState({ view });
}

/** Whether there is anything to put beside the landscape: another surface or another metric. */
export const comparable = () => surfaces.length > 1 || surfaces[0]?.metrics.length > 1;

export function actions(dialogs) {
  const drawer = byId('table');
  let alone = {};
  const copied = async (text, what) => {
    try {
      await navigator.clipboard.writeText(text);
      say(`${what} copied.`);
      setTimeout(() => byId('say').textContent === `${what} copied.` && say(''), 4000);
    } catch {
      const area = el('textarea', { readonly: true, rows: 6, 'aria-label': what }, text);
      const dialog = makeDialog('copy', what, area);
      dialog.addEventListener('close', () => dialog.remove());
      dialog.showModal();
      area.select();
    }
  };
  return {
    ...dialogs,
    view: switchView,
    table: () => {
      drawer.hidden = !drawer.hidden;
      announce(['table']);
    },
    compare: () => {
      if (state.compare >= 0 || !comparable()) {
        setState({ compare: -1, other: -1, difference: 'off', ...alone });
        return;
      }
      alone = narrow.matches ? {} : { curves: state.curves }; // two beside each other need the room
      const second = surfaces.length > 1 ? { compare: state.surface === 0 ? 1 : 0 } : { compare: 0, other: state.metric === 0 ? 1 : 0 };
      setState(narrow.matches ? second : { ...second, curves: 'off' });
    },
    mark: () => {
      const step = Math.floor(state.step);
      const known = state.marks.find(([at]) => at === step);
      const note = prompt(`Note at step ${step}`, known?.[1] ?? '');
      if (note === null) return;
      const others = state.marks.filter(([at]) => at !== step);
      setState({ marks: (note ? [...others, [step, note]] : others).sort((a, b) => a[0] - b[0]) });
    },
    link: () => copied(`${location.href.split('#')[0]}#${hashOf(state)}`, 'Address'),
    python: () => copied(`import landscape as ls\n\npage = ls.explore(results, "page.html", title=${JSON.stringify(content.title)})\nprint(page.resolve().as_uri() + ${JSON.stringify(`#${hashOf(state)}`)})\n`, 'Python'),
  };
}
