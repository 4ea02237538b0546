// Mouse, touch and wheel on a landscape: what fingers do becomes pan, zoom, turn, tap, double tap.

const TAP_PIXELS = 8;
const TAP_MS = 450;

/**
 * Listen on `stage`; `act` has pan(dx, dy), turn(dx, dy), zoom(factor, x, y), tap(event),
 * double(event), hint(), isMap(), and isWhole(): whether there is nothing to move to.
 */
export function listen(stage, act) {
  const down = new Map();
  let [start, moved, lastTap] = [null, false, { time: -Infinity, x: 0, y: 0 }];
  const spot = (event) => {
    const frame = stage.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  };
  const pinchOf = () => {
    const [a, b] = [...down.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, reach: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  };

  stage.addEventListener('pointerdown', (event) => {
    if (event.target.closest('button, a, .card, select, input')) return;
    down.set(event.pointerId, spot(event));
    if (down.size === 1) [start, moved] = [{ ...spot(event), time: event.timeStamp }, false];
    else moved = true;
    if (event.pointerType !== 'touch' || down.size > 1 || !act.isMap()) stage.setPointerCapture(event.pointerId);
  });

  stage.addEventListener('pointermove', (event) => {
    if (!down.has(event.pointerId)) return;
    const [from, to] = [down.get(event.pointerId), spot(event)];
    if (down.size === 2) {
      const before = pinchOf();
      down.set(event.pointerId, to);
      const after = pinchOf();
      act.pan(after.x - before.x, after.y - before.y);
      act.zoom(after.reach / before.reach, after.x, after.y);
      return;
    }
    if (!moved && Math.hypot(to.x - start.x, to.y - start.y) < TAP_PIXELS) return;
    moved = true;
    down.set(event.pointerId, to);
    if (event.pointerType === 'touch' && act.isWhole()) return; // one finger scrolls the page
    const turning = !act.isMap() && !event.shiftKey && !(event.buttons & 6);
    act[turning ? 'turn' : 'pan'](to.x - from.x, to.y - from.y);
  });

  const up = (event) => {
    const known = down.delete(event.pointerId);
    if (!known || event.type === 'pointercancel' || moved || down.size || event.timeStamp - start.time > TAP_MS) return;
    const at = spot(event);
    if (event.timeStamp - lastTap.time < 350 && Math.hypot(at.x - lastTap.x, at.y - lastTap.y) < 24) {
      lastTap = { time: -Infinity, x: 0, y: 0 };
      act.double(event);
    } else {
      lastTap = { time: event.timeStamp, ...at };
      act.tap(event);
    }
  };
  stage.addEventListener('pointerup', up);
  stage.addEventListener('pointercancel', up);
  stage.addEventListener('contextmenu', (event) => event.target === stage && event.preventDefault());

  stage.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && !event.metaKey) { act.hint(); return; }
    event.preventDefault();
    const at = spot(event);
    act.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0028)), at.x, at.y);
  }, { passive: false });
}
