// Names beside their markers, where they cover neither a marker nor each other.

// Left end and baseline of a label of width w and height h, relative to its marker; the first free one wins.
const PLACES = [
  (w, h) => [11, h * 0.33], (w, h) => [24, h * 0.33], (w, h) => [-11 - w, h * 0.33], (w, h) => [9, -h * 0.75], (w, h) => [9, h * 1.4],
  (w, h) => [-9 - w, -h * 0.75], (w, h) => [-9 - w, h * 1.4], (w, h) => [14, -h * 1.8], (w, h) => [14, h * 2.4], (w, h) => [-14 - w, -h * 1.8], (w, h) => [-14 - w, h * 2.4],
];

const boxesMeet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/**
 * Places for the labels of `items` ({x, y, wide, side?}) inside `frame`: each gets `box`, or null
 * when it is free nowhere. A label keeps its side while it can.
 * @param {{x: number, y: number}[]} markers every marker, also of items without a label
 */
export function placeLabels(items, markers, frame, height = 13) {
  const reach = 7 * (height / 13);
  const spots = markers.map(({ x, y }) => ({ x: x - reach, y: y - reach, width: 2 * reach, height: 2 * reach }));
  const taken = [];
  for (const item of items) {
    const boxAt = (place) => {
      const [dx, dy] = PLACES[place](item.wide, height);
      return { x: item.x + dx, y: item.y + dy - height + 3, width: item.wide, height };
    };
    const isFree = (box) => box.x >= frame.x && box.x + box.width <= frame.x + frame.width && box.y >= frame.y && box.y + box.height <= frame.y + frame.height
      && !spots.some((spot) => boxesMeet(box, spot)) && !taken.some((label) => boxesMeet(box, label));
    const places = [...new Set([item.side ?? 0, ...PLACES.keys()])];
    item.side = places.find((place) => isFree(boxAt(place)));
    item.box = item.side === undefined ? null : boxAt(item.side);
    if (item.box) taken.push(item.box);
  }
}
