// Controls that follow the state: segments, switches, choices, menus.

import { el } from './dom.js';
import { onChange, onWindow, setState, state, toggle } from './state.js';

/** Buttons of which one is pressed. */
export function segment(label, field, choices, choose = (value) => setState({ [field]: value })) {
  const buttons = choices.map(([value, text]) => el('button', { type: 'button', 'data-value': value, onclick: () => choose(value) }, text));
  const update = () => buttons.forEach((b) => b.setAttribute('aria-pressed', String(b.dataset.value === state[field])));
  onChange((changed) => changed.has(field) && update());
  update();
  return el('div', { class: 'segment', role: 'group', 'aria-label': label, 'data-field': field }, ...buttons);
}

/** A button that is pressed while a field is "on". */
export function switchButton(id, field, label, title, attributes = {}) {
  const button = el('button', { type: 'button', class: 'tool', id, title, onclick: () => toggle(field), ...attributes }, label);
  const update = () => button.setAttribute('aria-pressed', String(state[field] === 'on'));
  onChange((changed) => changed.has(field) && update());
  update();
  return button;
}

/** A button that opens a list of more. */
export function menu(label, title, ...children) {
  const box = el('details', { class: 'menu' }, el('summary', { class: 'tool', 'aria-label': title, title }, label), el('div', { class: 'menu-body' }, ...children));
  onWindow('pointerdown', (event) => { if (!box.contains(event.target)) box.open = false; });
  box.addEventListener('keydown', (event) => { if (event.key === 'Escape') { box.open = false; event.stopPropagation(); } });
  return box;
}

/** A list to choose the value of a field from. */
export function select(field, label, options) {
  const node = el('select', { 'aria-label': label, onchange: () => setState({ [field]: node.value }) }, ...options.map(([v, t]) => el('option', { value: v }, t)));
  const update = () => { node.value = state[field]; };
  onChange((changed) => changed.has(field) && update());
  update();
  return el('label', { class: 'row' }, el('span', {}, label), node);
}
