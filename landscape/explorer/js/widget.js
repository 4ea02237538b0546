// A page inside a notebook's widget: what is asked for on it is measured in the kernel.

import { say } from './actions.js';
import { menu } from './controls.js';
import { unpackedText } from './data.js';
import { byId, el } from './dom.js';
import { show } from './page.js';
import { hashOf, onChange, state } from './state.js';

const tell = (message) => parent.postMessage({ landscape: message }, '*');

/** What of the plane is in sight: of the map the frame, of the terrain all of it. */
function inSight(land) {
  const { alpha, beta } = land.surface;
  if (!land.isMap()) return [alpha[0], alpha[alpha.length - 1], beta[0], beta[beta.length - 1]];
  const { x, y, width, height } = land.frame;
  const corners = [[x, y], [x + width, y + height]].map(([px, py]) => land.box.back(...land.view.ray(px, py).start));
  return [0, 1].flatMap((k) => corners.map((corner) => corner[k]).sort((a, b) => a - b));
}

function makeMeasures(land) {
  const ask = (request) => { say('Asked the kernel; it answers when no cell runs …'); tell({ ask: request }); };
  const pinned = (count, then) => {
    const places = land.pins().map(({ at }) => at);
    if (places.length === count) then(places.flat());
    else say(count === 1 ? 'Pin one point first: click the ground.' : 'Pin two points first: click the ground twice.');
  };
  const button = (label, id, onclick) => el('button', { type: 'button', class: 'tool', id, onclick }, label);
  byId('tools').prepend(menu('Measure', 'what is measured in the kernel',
    button('What is in sight', 'ask-surface', () => ask({ kind: 'surface', place: inSight(land) })),
    button('Slice between the pins', 'ask-slice', () => pinned(2, (place) => ask({ kind: 'slice', place }))),
    button('At the pin', 'ask-point', () => pinned(1, (place) => ask({ kind: 'point', place }))),
    button('Give up', 'ask-nothing', () => tell({ ask: { kind: 'nothing' } }))));
}

async function start() {
  await show(...await unpackedText(byId('content').textContent));
  const { lands } = globalThis.explorer;
  if (lands.length) makeMeasures(lands[0]);
  globalThis.explorer.inSight = () => inSight(lands[0]);
  onChange(() => tell({ view: hashOf(state) }));
  addEventListener('message', ({ data }) => { if (typeof data?.said === 'string') say(data.said); });
  tell({ ready: true });
}

start();
