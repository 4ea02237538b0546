// A page inside a notebook's widget: what is asked for on it is measured in the kernel.

import { say } from './actions.js';
import { askButton, inSight, placeButtons } from './asking.js';
import { menu } from './controls.js';
import { content, unpackedText } from './data.js';
import { byId } from './dom.js';
import { show } from './page.js';
import { hashOf, onChange, state } from './state.js';

const tell = (message) => parent.postMessage({ landscape: message }, '*');

function makeMeasures(land) {
  const ask = (request) => { say('Asked the kernel; it answers when no cell runs …'); tell({ ask: request }); };
  byId('tools').prepend(menu('Measure', 'what is measured in the kernel', ...placeButtons(land, ask),
    ...content.planes.map((name, k) => askButton(`On ${name}`, `ask-plane-${k}`, () => ask({ kind: 'plane', name }))),
    askButton('Give up', 'ask-nothing', () => tell({ ask: { kind: 'nothing' } }))));
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
