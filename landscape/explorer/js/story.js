// A story: sentences computed from the results, each with the view that shows it.

import { content } from './data.js';
import { el, reducedMotion } from './dom.js';
import { goTo, initial, onChange, readHash, setState, state } from './state.js';

const READING_MS = 7000;

/** A sentence in which every "step 12" leads there. */
const told = (text) => text.split(/(\bstep \d+)/).map((part, k) => (k % 2
  ? el('button', { type: 'button', class: 'link', onclick: () => goTo(Number(part.slice(5))) }, part) : part));

export function makeStory(parent, player) {
  const scenes = content.story ?? [];
  if (!scenes.length) return { next() {} };
  const text = el('p', { id: 'scene-text', 'aria-live': 'polite' });
  const place = el('span', { class: 'note' });
  let timer = 0;
  const tell = (scene) => {
    const wanted = scene < 0 ? {} : readHash(scenes[scene].view);
    const keep = { theme: state.theme, talk: state.talk, curves: state.curves };
    player?.stop();
    setState({ ...initial, ...keep, ...wanted, scene });
    if (scene >= 0 && scenes[scene].play && player && !reducedMotion.matches) {
      setTimeout(() => state.scene === scene && player.once(...scenes[scene].play), 700);
    }
  };
  const go = (by) => tell(Math.max(-1, Math.min(scenes.length - 1, state.scene + by)));
  const quiet = () => { clearInterval(timer); timer = 0; auto.setAttribute('aria-pressed', 'false'); };
  const auto = el('button', { type: 'button', class: 'tool', 'aria-pressed': 'false', onclick: () => {
    if (timer) { quiet(); return; }
    auto.setAttribute('aria-pressed', 'true');
    timer = setInterval(() => (state.scene < scenes.length - 1 ? go(1) : quiet()), READING_MS);
    go(1);
  } }, 'Auto');
  const button = (label, title, act) => el('button', { type: 'button', class: 'tool', 'aria-label': title, title, onclick: () => { quiet(); act(); } }, label);
  const box = el('section', { class: 'story glass', 'aria-label': 'story', hidden: true }, text,
    el('div', { class: 'row' }, button('‹', 'scene before', () => go(-1)), place, button('›', 'next scene', () => go(1)), auto, button('✕', 'end the story', () => tell(-1))));
  parent.append(box);
  const update = () => {
    const scene = scenes[state.scene];
    box.hidden = !scene;
    text.replaceChildren(...(scene ? told(scene.text) : []));
    place.textContent = `${state.scene + 1} / ${scenes.length}`;
  };
  onChange((changed) => changed.has('scene') && update());
  update();
  return { next: () => (state.scene < scenes.length - 1 ? go(1) : tell(-1)), tell, scenes };
}
