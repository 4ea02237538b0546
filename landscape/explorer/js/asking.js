// What of the plane in sight can be asked for: a region, a slice, a point.

import { say } from './actions.js';
import { el } from './dom.js';

/** A button of the menu of what can be measured, which then closes. */
export const askButton = (label, id, act) => el('button', { type: 'button', class: 'tool', id, onclick: ({ currentTarget }) => {
  const menu = currentTarget.closest('details');
  if (menu) menu.open = false;
  act();
} }, label);

/** What of the plane is in sight: of the map the frame, of the terrain all of it. */
export function inSight(land) {
  const { alpha, beta } = land.surface;
  if (!land.isMap()) return [alpha[0], alpha[alpha.length - 1], beta[0], beta[beta.length - 1]];
  const { x, y, width, height } = land.frame;
  const corners = [[x, y], [x + width, y + height]].map(([px, py]) => land.box.back(...land.view.ray(px, py).start));
  return [0, 1].flatMap((k) => corners.map((corner) => corner[k]).sort((a, b) => a - b));
}

/**
 * Buttons that ask for a region, a slice or a point of a landscape's plane.
 * @param {any} land @param {(request: {kind: string, place: number[], plane: string}) => void} ask
 */
export function placeButtons(land, ask) {
  const put = (kind, place) => ask({ kind, place, plane: land.surface.plane });
  const pinned = (count, kind) => {
    const places = land.pins().map(({ at }) => at);
    if (places.length === count) put(kind, places.flat());
    else say(count === 1 ? 'Pin one point first: click the ground.' : 'Pin two points first: click the ground twice.');
  };
  return [
    askButton('What is in sight', 'ask-surface', () => put('surface', inSight(land))),
    askButton('Slice between the pins', 'ask-slice', () => pinned(2, 'slice')),
    askButton('At the pin', 'ask-point', () => pinned(1, 'point')),
  ];
}
