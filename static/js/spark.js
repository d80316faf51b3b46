// The small curve of a card: the last readings as one path, broken where readings are missing.

const WIDTH = 120;
const HEIGHT = 30;
const EDGE = 3; // keeps the line off the border
export const RING = 120;

const FIRST_LETTER = '#'.charCodeAt(0);
const LEVELS = 91;

/** The points of a curve that web/live/curve.py packed, at the server's time `now`. */
export function unpack(curve, now) {
  let time = now - curve.Age;
  return [...curve.Levels].map((letter, place) => {
    if (place) time += curve.Times[place - 1] * curve.Step;
    const level = (letter.charCodeAt(0) - FIRST_LETTER) / LEVELS;
    return [time, curve.Low * (1 - level) + curve.High * level];
  });
}

/** Draw [[ms, number], …], oldest first, into an svg.spark. */
export function draw(svg, points, gap_ms) {
  const [area, line] = svg.children;
  const shown = points.filter(([, value]) => typeof value === 'number');
  if (shown.length < 2) {
    area.setAttribute('d', '');
    line.setAttribute('d', '');
    return;
  }
  let low = Infinity;
  let high = -Infinity;
  let start = Infinity;
  let end = -Infinity;
  for (const [time, value] of shown) {
    low = Math.min(low, value);
    high = Math.max(high, value);
    start = Math.min(start, time);
    end = Math.max(end, time);
  }
  const flat = high === low;
  const x = (time) => (end === start ? WIDTH : ((time - start) / (end - start)) * WIDTH).toFixed(1);
  const y = (value) => (flat ? HEIGHT / 2
    : HEIGHT - EDGE - ((value - low) / (high - low)) * (HEIGHT - 2 * EDGE)).toFixed(1);
  let path = '';
  let fill = '';
  let first = null;
  let before = null;
  for (const [time, value] of shown) {
    const broken = before === null || (gap_ms > 0 && time - before > gap_ms);
    if (broken && before !== null) fill += `L${x(before)} ${HEIGHT}L${x(first)} ${HEIGHT}Z`;
    if (broken) first = time;
    const step = `${broken ? 'M' : 'L'}${x(time)} ${y(value)}`;
    path += step;
    fill += step;
    before = time;
  }
  fill += `L${x(before)} ${HEIGHT}L${x(first)} ${HEIGHT}Z`;
  line.setAttribute('d', path);
  area.setAttribute('d', fill);
}
