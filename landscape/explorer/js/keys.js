// Keys that work anywhere on the page, except where text or a list is being used.

import { isDark } from './colour.js';
import { firstStep, hasSteps, lastStep, nearest, runs } from './data.js';
import { goTo, onWindow, onlyRun, setState, state, toggle, toggleRun } from './state.js';

export function makeKeys(player, lands, act) {
  const actions = {
    ' ': () => player?.togglePlay(),
    Home: () => goTo(firstStep),
    End: () => goTo(lastStep),
    v: () => act.view(state.view === '3d' ? 'contour' : '3d'),
    l: () => toggle('scale', 'log', 'linear'),
    d: () => toggle('drop'),
    t: () => setState({ theme: isDark() ? 'light' : 'dark' }),
    c: act.compare,
    p: () => toggle('talk'),
    k: () => toggle('curves'),
    b: act.table,
    m: () => hasSteps && act.mark(),
    n: act.next,
    0: () => lands[0]?.fit(),
    '+': () => lands[0]?.zoom(1.5),
    '=': () => lands[0]?.zoom(1.5),
    '-': () => lands[0]?.zoom(1 / 1.5),
    Escape: () => setState(state.talk === 'on' ? { talk: 'off' } : state.scene >= 0 ? { scene: -1 } : { pins: [], range: null }),
    '?': act.help,
    i: act.notes,
  };
  onWindow('keydown', (event) => {
    const target = /** @type {Element} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (target.closest('select, input:not([type=range]), textarea')) return;
    if ((event.key === ' ' || event.key === 'Enter') && target.closest('button, a, summary')) return;
    const land = lands.find(({ stage }) => stage === event.target);
    if (land && landKey(land, event)) { event.preventDefault(); return; }
    const stride = event.shiftKey ? 10 : 1;
    const foreign = target.matches('input[type=range]:not(#step)');
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    if ((event.key === 'ArrowRight' || event.key === 'ArrowLeft') && hasSteps && !foreign) {
      player?.stop();
      goTo(Math.floor(state.step) + (event.key === 'ArrowRight' ? stride : -stride));
    } else if (digit && runs[Number(digit) - 1]) (event.shiftKey ? onlyRun : toggleRun)(Number(digit) - 1);
    else if (Object.hasOwn(actions, event.key) && !(foreign && /Home|End/.test(event.key))) actions[event.key]();
    else return;
    event.preventDefault();
  });
}

/** On a focused landscape arrows move from stored point to stored point, Enter pins; whether it was one. */
function landKey(land, event) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
  const { alpha, beta } = land.surface;
  if (way) {
    const { i, j } = land.cursor ?? { i: nearest(alpha, (alpha[0] + alpha[alpha.length - 1]) / 2), j: nearest(beta, (beta[0] + beta[beta.length - 1]) / 2) };
    const stride = event.shiftKey ? 5 : 1;
    land.moveCursor({ i: Math.max(0, Math.min(alpha.length - 1, i + stride * way[0])), j: Math.max(0, Math.min(beta.length - 1, j + stride * way[1])) });
    return true;
  }
  if (event.key === 'Enter' && land.cursor) {
    land.pin(land.cursor.j * alpha.length + land.cursor.i);
    return true;
  }
  return false;
}
