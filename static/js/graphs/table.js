// The data of a graph as a table, for screen readers and for whoever likes numbers.

import { fillTable } from '../data_table.js';

const MOST_ROWS = 300;
const full = new Intl.DateTimeFormat(undefined, {
  year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', timeZoneName: 'short',
});

/** The times in view that any line has a point at, thinned out if there are many. */
function timesOf(stage) {
  const [from, to] = stage.span.map((ms) => ms / 1000);
  const times = new Set();
  for (const answer of stage.answers) {
    const own = answer?.columns?.[0].filter((_, place) => answer.columns[1][place] !== null) // no gaps
      ?? (answer?.texts ?? []).map(([ms]) => ms / 1000);
    for (const second of own) if (second >= from && second <= to) times.add(second);
  }
  const sorted = [...times].sort((a, b) => a - b);
  const step = Math.ceil(sorted.length / MOST_ROWS);
  return [sorted.filter((_, place) => place % step === 0), step];
}

export function showTable(place, stage, infoOf) {
  const [times, step] = timesOf(stage);
  const caption = times.length === 0 ? 'There are no readings in this span.'
    : step > 1 ? `Every ${step}th point; an export has all of them.` : `${times.length} points.`;
  const heads = ['Time', ...stage.lines.map(({ codifier }) => {
    const { name, symbol } = infoOf(codifier);
    return symbol ? `${name} (${symbol})` : name;
  })];
  const rows = times.map((second) => [
    full.format(new Date(second * 1000)), ...stage.readouts(second).map(([now]) => now ?? ''),
  ]);
  fillTable(place, caption, heads, rows, heads.map((_, column) => column).slice(1));
}
