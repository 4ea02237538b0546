// The row of tools: view, scale, story, and two menus.

import { comparable } from './actions.js';
import { CAMERA_NAMES, namedCamera } from './camera.js';
import { isDark } from './colour.js';
import { menu, segment, select, switchButton } from './controls.js';
import { barriers, content, hasSteps, lines, runs, surfaces } from './data.js';
import { el, svg } from './dom.js';
import { curvesCsv, download, saveLand, slug } from './export.js';
import { setState } from './state.js';

export function makeTools(parent, lands, act) {
  const button = (id, label, title, onclick) => el('button', { type: 'button', class: 'tool', id, title, onclick }, label);
  const has = surfaces.length > 0;
  parent.append(...[
    has && segment('view', 'view', [['contour', 'Map'], ['3d', 'Terrain']], act.view),
    segment('loss scale', 'scale', [['log', 'Log'], ['linear', 'Linear']]),
    content.story?.length > 0 && button('story', 'Story', 'scenes computed from these results (n)', act.next),
    menu('View', 'more about the view', ...[
      has && el('div', { class: 'segment cameras', role: 'group', 'aria-label': 'camera' }, ...CAMERA_NAMES.map((name) => el('button', {
        type: 'button', 'data-camera': name, onclick: () => { act.view('3d'); setState({ camera: [...namedCamera(name, lands[0].terrain).map((v) => Number(v.toFixed(2))), 1, 0, 0] }); },
      }, name))),
      has && runs.length > 0 && select('colour', 'Colour paths by', [['run', 'run'], ['loss', 'loss'], ['angle', 'angle'], ['rate', 'learning rate'], ['residual', 'distance off the plane']]),
      has && runs.length > 0 && switchButton('fade', 'fade', 'Fade paths off the plane', 'paths fade with their distance from the plane'),
      has && runs.length > 0 && switchButton('drop', 'drop', 'Drop to surface', 'draw the runs on the surface instead of at their measured loss (d)'),
      comparable() && button('compare', 'Compare two surfaces or metrics', 'side by side (c)', act.compare),
      surfaces.length > 1 && switchButton('difference', 'difference', 'Their difference', 'the first minus the second, at the same points'),
      (runs.length > 0 || lines.length > 0 || barriers.length > 0) && has && switchButton('curves-button', 'curves', 'Curves', 'show or hide the curves (k)'),
      runs.length > 0 && button('table-button', 'Table', 'numbers of every run at this step (b)', act.table),
      hasSteps && button('mark', 'Mark this step', 'a note at this step (m)', act.mark),
      switchButton('talk', 'talk', 'Talk', 'large type, no controls (p)'),
    ].filter(Boolean)),
    menu('Save', 'take it along', ...[
      has && button('save-png', 'Picture (PNG, 2×)', 'as it is now', () => saveLand(lands[0], 'png')),
      has && button('save-png4', 'Picture (PNG, 4×)', 'as it is now', () => saveLand(lands[0], 'png4')),
      has && button('save-svg', 'Picture (SVG)', 'as it is now', () => saveLand(lands[0], 'svg')),
      has && hasSteps && button('save-webm', 'Clip (WebM)', 'plays the chosen range once', act.film),
      runs.length > 0 && button('csv', 'Curves (CSV)', 'every recorded step of the visible runs', () => download(new Blob([curvesCsv()], { type: 'text/csv' }), `${slug(content.title)}.csv`)),
      button('link', 'Copy address', 'of this page as it is now', act.link),
      button('python', 'Copy Python', 'that makes this view', act.python),
    ].filter(Boolean)),
    el('button', { type: 'button', class: 'tool round', id: 'theme', 'aria-label': 'light or dark', title: 'light or dark (t)', onclick: () => setState({ theme: isDark() ? 'light' : 'dark' }) },
      svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: 'M8 1a7 7 0 1 0 0 14z' }), svg('circle', { cx: 8, cy: 8, r: 6.5, class: 'outline' }))),
    el('button', { type: 'button', class: 'tool round', id: 'help-button', 'aria-label': 'help', title: 'keys and gestures (?)', onclick: act.help }, '?')].filter(Boolean));
}
