// The points of lines, from the compact answers of the server to the columns of a chart.

import { request } from '../request.js';
import { fieldOf } from './address.js';

/**
 * Ask for the points of some lines, in one request.
 *
 * Args: the span in ms, the most points of each line, and the beginning of an earlier span of the same
 * length, null for none. Returns { now, lines, earlier }, with { columns, gap_ms, bucket_ms }, { texts }
 * or { error } for each line.
 */
export async function fetchLines(lines, [from, to], points, earlier, signal) {
  const query = new URLSearchParams({ from, to, points });
  for (const line of lines) query.append('line', `${line.codifier},${fieldOf(line)}`);
  if (earlier !== null) query.set('earlier', earlier);
  const answer = await request(`graphs/data?${query}`, { signal });
  const unpacked = (given) => align(given.map((line, place) => unpack(line, lines[place].smoothing)));
  return { now: answer.now, lines: unpacked(answer.lines), earlier: unpacked(answer.earlier ?? []) };
}

/**
 * Give points that stand for the same stretch of time the same time, at most half a stretch away.
 *
 * So a chart of ten lines has the times of one of them, and not ten times as many to go through.
 */
export function align(lines) {
  const references = new Map(); // width of a stretch -> times
  for (const { columns, bucket_ms } of lines) {
    if (!bucket_ms) continue;
    const known = references.get(bucket_ms);
    if (!known) {
      references.set(bucket_ms, columns[0]);
      continue;
    }
    const [times] = columns;
    const half = bucket_ms / 2000;
    let next = 0; // of the times of the reference
    for (let place = 0; place < times.length; place += 1) {
      const second = times[place];
      while (next < known.length && known[next] < second - half) next += 1;
      if (next === known.length) break;
      const isFree = place === 0 || known[next] > times[place - 1];
      const isBefore = place + 1 === times.length || known[next] < times[place + 1];
      if (known[next] <= second + half && isFree && isBefore) times[place] = known[next];
    }
  }
  return lines;
}

function unpack(line, smoothing) {
  if (!line.t) return line;
  const times = [];
  const columns = [times, [], [], []];
  const given = [line.v, line.low ?? line.v, line.high ?? line.v];
  let ms = 0;
  line.t.forEach((step, place) => {
    if (place > 0 && step > line.gap_ms) {
      times.push((ms + step / 2) / 1000);
      for (const column of columns.slice(1)) column.push(null);
    }
    ms += step;
    times.push(ms / 1000);
    given.forEach((column, index) => columns[index + 1].push(column[place]));
  });
  if (smoothing) columns[1] = smooth(columns[1], smoothing);
  return { ...line, columns };
}

/** Each number as the mean of those around it, as far as there is no gap. */
export function smooth(values, count) {
  const half = count >> 1;
  const result = values.slice();
  let begin = 0;
  for (let end = 0; end <= values.length; end += 1) {
    if (end < values.length && values[end] !== null) continue;
    const sums = [0];
    for (let place = begin; place < end; place += 1) sums.push(sums.at(-1) + values[place]);
    for (let place = begin; place < end; place += 1) {
      const reach = Math.min(half, place - begin, end - 1 - place); // as many on either side
      const low = place - reach - begin;
      const high = place + reach + 1 - begin;
      result[place] = (sums[high] - sums[low]) / (high - low);
    }
    begin = end + 1;
  }
  return result;
}
