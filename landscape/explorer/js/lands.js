// One landscape or two beside each other, and what stands over each: surface, colours, zoom, pins.

import { runs, surfaces } from './data.js';
import { byId, el, narrow } from './dom.js';
import { short } from './format.js';
import { Land } from './land.js';
import { ColourBar, focusListeners, makeClip, makePathScale } from './legend.js';
import { differenceOf, showPins } from './pins.js';
import { onChange, setState, state } from './state.js';

/** What stands over a landscape: which surface, its colours, buttons to zoom, the pins. */
function dress(land) {
  const surface = surfaces.length > 1 && el('select', { 'aria-label': 'surface', onchange: (e) => setState({ [land.field]: Number(e.target.value) }) },
    ...surfaces.map((s) => el('option', { value: s.index }, s.key)));
  const most = Math.max(...surfaces.map((s) => s.metrics.length));
  const metric = most > 1 && el('select', { 'aria-label': 'metric', onchange: (e) => setState({ [land.field === 'compare' ? 'other' : 'metric']: Number(e.target.value) }) });
  land.bar = new ColourBar();
  land.clip = makeClip();
  const scale = makePathScale();
  land.note = el('p', { class: 'note' });
  const key = el('div', { class: 'key glass' }, el('div', { class: 'picker' }, surface || el('span', { class: 'note' }, surfaces[0].key), metric, land.clip.box), land.bar.box, scale.box, land.note);
  const zoom = (label, title, act) => el('button', { type: 'button', class: 'tool round', 'aria-label': title, title, onclick: act }, label);
  land.card = el('div', { class: 'card glass', role: 'group', 'aria-label': 'pinned points', hidden: true });
  land.stage.append(el('div', { class: 'zooms' }, zoom('+', 'zoom in', () => land.zoom(1.5)), zoom('−', 'zoom out', () => land.zoom(1 / 1.5)),
    el('button', { type: 'button', class: 'tool round fit', 'aria-label': 'fit: the whole again', title: 'the whole again (0)', onclick: () => land.fit() }, 'Fit')), land.card);
  land.section.append(key);
  land.say = (text) => { byId('live').textContent = text; };
  land.clear = () => {
    const over = byId('over').getBoundingClientRect();
    const stage = land.stage.getBoundingClientRect();
    const story = document.querySelector('.story')?.getBoundingClientRect();
    const top = over.bottom > stage.top && over.top < stage.bottom && !narrow.matches ? Math.max(0, over.bottom - stage.top) : 0;
    const size = parseFloat(getComputedStyle(document.documentElement).fontSize) * (11 / 14);
    const shared = narrow.matches && land.section.parentElement.classList.contains('two'); // then there is no room beside the key
    return { top, size, bottom: shared ? key.offsetHeight : story?.height && !narrow.matches ? Math.max(0, stage.bottom - story.top - 2 * size) : 0 };
  };
  const watcher = new ResizeObserver(() => land.resize());
  for (const over of [byId('over'), document.querySelector('.story')].filter(Boolean)) watcher.observe(over);
  land.end = () => { watcher.disconnect(); land.scene?.end(); };
  land.dressed = () => {
    if (surface) surface.value = state[land.field];
    if (metric) {
      const names = land.surface?.metrics ?? [];
      metric.replaceChildren(...names.map((name, k) => el('option', { value: k }, name)));
      metric.value = land.metric;
    }
    land.bar.show(land.terrain);
    land.clip.show(land.terrain);
    scale.show(land.terrain);
    const { broken, below, low, top, high } = land.terrain;
    land.note.textContent = [
      land.refused ?? '',
      land.surface.paths.length || !runs.length || land.given ? '' : 'No run was projected on this plane.',
      broken ? `Hatched: ${broken} points are not finite.` : '',
      below ? `${below} points are not positive: drawn at ${short(low)}.` : '',
      top < high ? `Flat above ${short(top)}.` : '',
    ].filter(Boolean).join(' ');
    land.stage.classList.toggle('zoomed', Boolean(state.view === '3d' || state.window));
  };
}

const REDRAWN = ['surface', 'metric', 'other', 'compare', 'difference', 'scale', 'clip', 'theme', 'drop', 'hidden', 'fade', 'colour'];

/** The landscape and, when two are compared, a second one; `lands` grows by each. */
export function makeLands(parent, lands) {
  const add = (field) => {
    const land = new Land(parent, field);
    dress(land);
    lands.push(land);
    focusListeners.push((index) => { land.focus = index; land.render(); });
  };
  const arrange = () => {
    const two = state.compare >= 0 || (state.difference === 'on' && surfaces.length > 1);
    parent.classList.toggle('two', two);
    if (two && lands.length < 2) add('compare');
    if (!lands[1]) return;
    lands[1].section.hidden = !two;
    const other = surfaces[state.compare >= 0 ? state.compare : (state.surface + 1) % surfaces.length];
    const found = state.difference === 'on' ? differenceOf(surfaces[state.surface], other) : null;
    lands[1].given = found && typeof found !== 'string' ? found : state.compare >= 0 ? null : other;
    lands[1].refused = typeof found === 'string' ? found : null;
  };
  const shown = () => lands.filter((land) => !land.section.hidden);
  const drawAll = () => {
    shown().forEach((land) => { land.draw(); land.dressed(); showPins(land.card, land); });
    // Two are as high as each other, so that neither leaves its place empty.
    const wide = shown().map(({ box }) => Math.max(0.5, Math.min(2, box.bx / box.by)));
    parent.style.setProperty('--columns', wide.map((share) => `minmax(0, ${share.toFixed(3)}fr)`).join(' '));
    parent.style.setProperty('--rows', wide.map((share) => `minmax(0, ${(1 / share).toFixed(3)}fr)`).join(' '));
  };
  if (surfaces.length) add('surface');
  arrange();
  if (surfaces.length) drawAll();
  onChange((changed) => {
    if (changed.has('compare') || changed.has('difference') || changed.has('surface')) arrange();
    document.body.classList.toggle('space', state.view === '3d');
    if (REDRAWN.some((name) => changed.has(name))) drawAll();
    else if (['size', 'step', 'view', 'camera', 'window', 'trail', 'pins', 'talk', 'curves', 'scene'].some((name) => changed.has(name))) {
      shown().forEach((land) => {
        if (changed.has('size')) land.resize();
        else land.render();
        land.stage.classList.toggle('zoomed', Boolean(state.view === '3d' || state.window));
        if (changed.has('pins') || (changed.has('step') && state.pins.length)) showPins(land.card, land);
      });
    }
  });
}
