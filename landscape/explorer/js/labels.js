// Names beside their markers, where they cover neither a marker nor each other.

const LABEL_HEIGHT = 13;

// Left end and baseline of a label of width w, relative to its marker; the first that is free wins.
const LABEL_PLACES = [
  () => [11, 4], () => [24, 4], (w) => [-11 - w, 4], () => [9, -9], () => [9, 18], (w) => [-9 - w, -9], (w) => [-9 - w, 18],
];

const boxesMeet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** Place the labels of `items` ({x, y, label}) inside `frame`; a label keeps its side while it can. */
function placeLabels(items, frame) {
  const markers = items.map(({ x, y }) => ({ x: x - 7, y: y - 7, width: 14, height: 14 }));
  const taken = [];
  for (const [k, item] of items.entries()) {
    item.wide ??= item.label.getComputedTextLength?.() || 60;
    const boxAt = (place) => {
      const [dx, dy] = LABEL_PLACES[place](item.wide);
      return { x: item.x + dx, y: item.y + dy - LABEL_HEIGHT + 3, width: item.wide, height: LABEL_HEIGHT };
    };
    const isFree = (box) => box.x >= frame.x && box.x + box.width <= frame.x + frame.width
      && !markers.some((marker, other) => other !== k && boxesMeet(box, marker)) && !taken.some((label) => boxesMeet(box, label));
    const places = [...new Set([item.side ?? 0, ...LABEL_PLACES.keys()])];
    item.side = places.find((place) => isFree(boxAt(place)));
    const box = boxAt(item.side ?? 0);
    while (item.side === undefined && taken.some((label) => boxesMeet(box, label))) box.y += 4;
    taken.push(box);
    item.label.setAttribute('transform', `translate(${box.x.toFixed(1)} ${(box.y + LABEL_HEIGHT - 3).toFixed(1)})`);
  }
}
