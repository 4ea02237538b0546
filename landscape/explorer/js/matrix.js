// Barriers between all pairs of networks: a matrix of numbers, coloured like the ground.

import { contrast, groundColour } from './colour.js';
import { barriers } from './data.js';
import { el } from './dom.js';
import { short } from './format.js';
import { onChange } from './state.js';

function matrixOf({ names, values, ends, metric, definition, note }, k) {
  const size = names.length;
  const top = Math.max(...values.filter(Number.isFinite)) || 1;
  const coloured = [];
  const cell = (i, j) => {
    const value = values[i * size + j];
    if (i === j) return el('span', { role: 'cell' });
    const node = el('span', { role: 'cell', 'data-pair': `${i},${j}`, title: `${names[i]} to ${names[j]}: ${short(value, 4)}` }, short(value, 2));
    if (Number.isFinite(value)) coloured.push([node, value / top]);
    return node;
  };
  const row = (...cells) => el('div', { role: 'row' }, ...cells);
  const head = (role, name, own) => el('span', { role }, el('bdi', {}, name), own && el('small', {}, ` ${own}`));
  const table = el('div', { class: 'matrix', role: 'table', style: `--networks: ${size}` },
    row(el('span', { role: 'columnheader' }), ...names.map((name) => head('columnheader', name))),
    ...names.map((name, i) => row(head('rowheader', name, short(ends[i], 2)), ...names.map((_, j) => cell(i, j)))));
  const paint = () => coloured.forEach(([node, share]) => {
    const ground = groundColour(share);
    Object.assign(node.style, { background: ground, color: contrast(ground, '#ffffff') > 4.5 ? '#ffffff' : '#000000' });
  });
  onChange((changed) => changed.has('theme') && paint());
  paint();
  return el('section', { class: 'panel matrix-panel', id: `panel-barriers-${k}` },
    el('header', {}, el('h2', {}, `Barriers of the ${metric}`), el('span', { class: 'note' }, [definition, note].filter(Boolean).join(', '))), table);
}

/** One panel for every metric of every measured set of barriers. */
export const makeMatrices = (parent) => parent.append(...barriers.map(matrixOf));
