// The Graphs page: what the address describes, drawn, kept live, and changed by people.

import { COLORS, format, parse } from './graphs/address.js';
import { fetchLines } from './graphs/data.js';
import { storeFile, storePicture } from './graphs/export.js';
import { Lines, find, readCatalog } from './graphs/lines.js';
import { Marks } from './graphs/marks.js';
import { shift, toField, wordsOf } from './graphs/periods.js';
import { Saved } from './graphs/saved.js';
import { Stage, colorOf, isDashed } from './graphs/stage.js';
import { showTable } from './graphs/table.js';
import { connect, serverNow } from './live.js';
import { toast } from './request.js';
import { put, showFrame, span as spanWords, when } from './view.js';

const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 15_000;
const LEAST_RELOAD_MS = 15_000;
const MOST_RELOAD_MS = 300_000;
const MOST_POINTS = 5_000;
const AHEAD_MS = 60_000;
const OPTIONS = ['1h', '1d', '1w', '1M', '1y'];

const byId = (id) => document.getElementById(id);
const page = byId('page').dataset;
const catalog = readCatalog(byId('sensors'));
const infoOf = (codifier) => catalog.get(codifier)
  ?? { name: codifier, symbol: '', isBool: false, isText: false, isKnown: false };
const range = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
});

const graph = parse(location.search);
let asked = new AbortController();
let again = 0; // timer of the next try
let retry_ms = FIRST_RETRY_MS;
let failing = null; // { since_ms, reason } while the history cannot be read
let loaded = { area: [0, 0], at_ms: 0, bucket_ms: 0 };
let pointed = null; // seconds, while somebody points into a chart

const isLive = () => graph.fixed === null;

function spanNow() {
  const now = Math.ceil(serverNow());
  return graph.fixed ?? [shift(now, graph.last, -1), now];
}

// Drawing

const stage = new Stage(byId('charts'), {
  infoOf,
  onCursor: (second) => {
    pointed = second;
    read();
  },
  onZoom: (from, to) => { if (to - from >= 1000) show([from, to]); },
  onReset: () => show(null),
  onMove: (from, to) => {
    graph.fixed = [from, to];
    stage.move(from, to);
  },
  onEnd: () => {
    describeSpan();
    load({ margin: true });
  },
});

const list = new Lines(byId('lines'), infoOf, (lines) => {
  graph.lines = lines;
  arrange();
});

const marks = new Marks({
  infoOf,
  mayNote: page.mayNote === 'yes',
  onKinds: (kinds) => {
    graph.kinds = kinds;
    keep();
    loadMarks(...stage.span);
  },
  onMarks: (found) => stage.mark(found),
});

/** Load the events of a span; in a live graph also those of a clock that is ahead of ours. */
const loadMarks = (from, to) => marks.load(graph, [from, isLive() ? to + AHEAD_MS : to]);

function arrange() {
  list.show(graph.lines);
  stage.arrange(graph);
  describeSpan();
  load();
}

function show(fixed) {
  graph.fixed = fixed;
  describeSpan();
  load();
}

/** Show what each line has at the cursor, or at the end of the span. */
function read() {
  list.read(stage.readouts(pointed ?? stage.span[1] / 1000));
  if (pointed === null) describe();
  else put(byId('chart-note'), [when(pointed * 1000), ...stage.marksAt(pointed).map((mark) => marks.words(mark))].join(' · '));
}

function describe() {
  const { bucket_ms } = loaded;
  const live = isLive() ? ' Live values go on.' : '';
  const text = failing
    ? `No history since ${when(failing.since_ms)}: ${failing.reason}${live}`
    : bucket_ms ? `Each point stands for ${spanWords(bucket_ms)}; a band shows lowest and highest.` : '';
  put(byId('chart-note'), text);
  byId('chart-note').classList.toggle('fault', failing !== null);
}

/** Where the earlier period begins that is compared with a span from here; null for none. */
const earlierThan = (from) => (
  graph.before && graph.lines.length > 0 ? Math.max(0, shift(from, graph.before, -1)) : null);

async function load({ margin = false } = {}) {
  asked.abort();
  clearTimeout(again);
  const mine = new AbortController();
  asked = mine;
  const [from, to] = spanNow();
  const width = to - from;
  const now = Math.ceil(serverNow());
  const area = [
    Math.max(0, Math.floor(margin ? from - width / 2 : from)),
    Math.ceil(margin ? Math.max(to, Math.min(to + width / 2, now)) : to) + 1,
  ];
  const earlier = earlierThan(area[0]);
  const points = Math.min(MOST_POINTS, Math.round((stage.points * (area[1] - area[0])) / width));
  byId('charts').classList.add('is-waiting');
  try {
    const answer = graph.lines.length > 0
      ? await fetchLines(graph.lines, area, points, earlier, mine.signal) : { lines: [], earlier: [] };
    if (mine !== asked) return;
    failing = null;
    retry_ms = FIRST_RETRY_MS;
    loaded = {
      area, at_ms: serverNow(), bucket_ms: Math.max(0, ...answer.lines.map((line) => line.bucket_ms ?? 0)),
    };
    stage.show(answer, spanNow(), earlier === null ? 0 : area[0] - earlier);
    list.remark(answer.lines);
  } catch (error) {
    if (mine !== asked || error.name === 'AbortError') return;
    failing ??= { since_ms: serverNow() };
    failing.reason = error.message;
    stage.move(...spanNow());
    again = setTimeout(load, retry_ms);
    retry_ms = Math.min(retry_ms * 1.5, LAST_RETRY_MS);
  }
  byId('charts').classList.remove('is-waiting');
  read();
  requestAnimationFrame(() => { byId('charts').dataset.shown = `${area.join(' ')} ${loaded.at_ms}`; });
  if (byId('table').open) showTable(byId('table').lastElementChild, stage, infoOf);
  loadMarks(...area);
}

// The address, and the controls that show what it says

function keep() {
  history.replaceState(null, '', `${location.pathname}?${format(graph)}`);
}

function describeSpan() {
  keep();
  const span = spanNow();
  for (const button of document.querySelectorAll('[data-last]')) {
    button.setAttribute('aria-pressed', String(isLive() && button.dataset.last === graph.last));
  }
  byId('hold').setAttribute('aria-pressed', String(isLive()));
  put(byId('span-text'), isLive() ? 'From – to' : range.formatRange(...span));
  const form = byId('span-form').elements;
  [form.from.value, form.to.value] = span.map(toField);
  byId('before').value = OPTIONS.includes(graph.before) || !graph.before ? graph.before : 'other';
  byId('other-before').hidden = byId('before').value !== 'other';
  if (graph.before && byId('before').value === 'other') {
    const { count, unit } = byId('other-before').elements;
    [count.value, unit.value] = [graph.before.slice(0, -1), graph.before.at(-1)];
  }
  byId('layout').value = graph.layout;
}

for (const button of document.querySelectorAll('[data-last]')) {
  button.addEventListener('click', () => {
    graph.last = button.dataset.last;
    show(null);
  });
}

byId('hold').addEventListener('click', () => show(isLive() ? spanNow() : null));

const MOVES = {
  back: (from, to) => [from - (to - from) / 2, to - (to - from) / 2],
  on: (from, to) => [from + (to - from) / 2, to + (to - from) / 2],
  in: (from, to) => [from + (to - from) / 4, to - (to - from) / 4],
  out: (from, to) => [from - (to - from) / 2, to + (to - from) / 2],
};
for (const button of document.querySelectorAll('[data-move]')) {
  button.addEventListener('click', () => {
    const [from, to] = MOVES[button.dataset.move](...spanNow()).map(Math.round);
    if (to - from >= 1000) show([from, to]);
  });
}

byId('span-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const { from, to } = event.target.elements;
  const span = [from, to].map(({ value }) => new Date(value).getTime());
  if (!(span[0] < span[1])) {
    toast('From must be before To.', true);
    return;
  }
  byId('span').open = false;
  show(span);
});

function compare(before) {
  graph.before = before;
  arrange();
}

byId('before').addEventListener('change', ({ target }) => {
  if (target.value !== 'other') compare(target.value);
  byId('other-before').hidden = target.value !== 'other';
});
byId('other-before').addEventListener('submit', (event) => {
  event.preventDefault();
  const { count, unit } = event.target.elements;
  compare(`${Number(count.value)}${unit.value}`);
});
byId('layout').addEventListener('change', ({ target }) => {
  graph.layout = target.value;
  arrange();
});

// Who chooses from the list need not press Add.
byId('add').addEventListener('input', ({ target }) => {
  if ([...byId('sensors').options].some(({ value }) => value === target.value)) byId('add-form').requestSubmit();
});
byId('add-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (byId('add').value.trim() === '') return;
  const codifier = find(catalog, byId('add').value);
  const lines = codifier && list.with(codifier);
  if (!codifier) {
    toast('No sensor, or more than one, has this name: choose one from the list.', true);
  } else if (!lines) {
    toast('A graph has at most 12 lines: remove one first.', true);
  } else {
    byId('add').value = '';
    graph.lines = lines;
    arrange();
  }
});

// Sheets close when somebody goes on elsewhere, or presses Escape.
document.addEventListener('click', ({ target }) => {
  for (const sheet of document.querySelectorAll('details.drop[open]')) {
    if (!sheet.contains(target)) sheet.open = false;
  }
});
document.addEventListener('keydown', (event) => {
  const sheet = event.key === 'Escape' ? event.target.closest?.('details.drop[open]') : null;
  if (!sheet) return;
  sheet.open = false;
  sheet.querySelector('summary').focus();
});

byId('charts').addEventListener('click', () => { if (pointed !== null) marks.point(pointed * 1000); });
byId('table').addEventListener('toggle', () => {
  if (byId('table').open) showTable(byId('table').lastElementChild, stage, infoOf);
});

// Saving, sharing, exporting

new Saved({
  settingsOf: () => {
    const query = format(graph);
    query.delete('saved');
    return String(query);
  },
  onChosen: (saved) => {
    graph.saved = saved?.number ?? 0;
    put(byId('title'), saved?.name ?? 'Graphs');
    keep();
  },
});

byId('share').addEventListener('click', async () => {
  const address = `${location.origin}${location.pathname}?${format(graph)}`;
  try {
    await navigator.clipboard.writeText(address);
    toast('The link is copied: it shows this graph to whoever may see these pages.');
  } catch { // without TLS a browser gives no clipboard
    prompt('Copy this link:', address);
  }
});

function title() {
  const name = byId('title').textContent;
  const names = graph.lines.map(({ codifier }) => infoOf(codifier).name).join(', ');
  return name === 'Graphs' && names ? names.slice(0, 120) : name;
}

function pictureOf() {
  const before = graph.before ? `, and the ${wordsOf(graph.before)} before` : '';
  const entries = graph.lines.map((line, place) => ({
    name: `${infoOf(line.codifier).name} (${line.codifier}) ${list.fieldWords(line, infoOf(line.codifier))}`,
    variable: colorOf(line, place % (2 * COLORS)),
    dashed: isDashed(line, place),
  }));
  return storePicture(stage, title(), `${range.formatRange(...spanNow())}${before}`, entries);
}

byId('export').addEventListener('click', ({ target }) => {
  const { format } = target.dataset;
  if (format === 'png') pictureOf();
  else if (format && graph.lines.length === 0) toast('There is nothing to store: add a sensor first.', true);
  else if (format) {
    const area = spanNow();
    storeFile(graph.lines, area, {
      format, what: 'shown', points: stage.points, earlier: earlierThan(area[0]),
    });
  }
});
byId('export-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const { whose, what, format } = event.target.elements;
  if (whose.value === 'lines' && graph.lines.length === 0) {
    toast('There is nothing to store: add a sensor first.', true);
    return;
  }
  const lines = whose.value === 'all' ? [] : graph.lines;
  storeFile(lines, spanNow(), { format: format.value, what: what.value });
});

// Living on

let greeted = false;
connect((frame, isSnapshot) => {
  showFrame(frame);
  if (isSnapshot && greeted) load(); // it was away, and so may the history have been
  greeted = true;
  if (isSnapshot || !isLive()) return;
  let added = false;
  for (const codifier of new Set(graph.lines.map((line) => line.codifier))) {
    const points = frame.components[codifier]?.points ?? [];
    added = stage.add(codifier, points.map(([age, value]) => [frame.now - age, value])) || added;
  }
  if (added) follow();
}, { cards: 1 });

function follow() {
  stage.move(...spanNow());
  if (pointed === null) read();
}

setInterval(() => {
  if (document.hidden || !isLive() || failing) return;
  const pause_ms = Math.min(Math.max(loaded.bucket_ms, LEAST_RELOAD_MS), MOST_RELOAD_MS);
  const isStill = graph.lines.some((line) => line.smoothing || line.resolution || infoOf(line.codifier).isText);
  if ((loaded.bucket_ms || isStill || graph.before) && serverNow() - loaded.at_ms > pause_ms) load();
  else follow();
}, 1000);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && isLive() && serverNow() - loaded.at_ms > 60_000) load();
});

arrange();
