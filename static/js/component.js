import { Chart } from './chart.js';
import { press } from './commands.js';
import { ROOT, connect, serverNow } from './live.js';
import { View, put, showFrame, span, when } from './view.js';

const MOST_TEXTS = 100;
const root = document.querySelector('.subject');
const view = new View(root);
const { codifier } = view;

// Facts: every field of the last state, in words.

const places = [...root.querySelectorAll('[data-field]')];

function fact(record, { field, kind, since }) {
  const value = record[field];
  if (value === null || value === undefined) return null;
  if (kind === 'time') return `${when(value)}`;
  if (kind === 'ms') return value < 1 ? 'under 1 ms' : `${Math.round(value)} ms`;
  if (kind === 'count') return record[since] ? `${value} since ${when(record[since])}` : `${value}`;
  if (root.dataset.type === 'float' && typeof value === 'number') {
    return String(Number(value.toPrecision(7))); // all that a float32 holds
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function showFacts(record) {
  for (const place of places) {
    const text = fact(record, place.dataset);
    place.parentElement.hidden = text === null;
    if (text !== null) put(place, text);
  }
}

for (const time of root.querySelectorAll('time')) put(time, when(Number(time.dataset.ms)));

// Buttons

for (const form of root.querySelectorAll('.headline form')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const number = data.has('number') ? Number(data.get('number')) : undefined;
    press(form.querySelector('button'), data.get('codifier'), data.get('flag'), number);
  });
}

function showToggle(record) {
  const button = root.querySelector('[data-toggle]');
  if (!button) return;
  put(button, record.Halted ? 'Start' : 'Halt');
  button.form.elements.flag.value = record.Halted ? 'S' : 'H';
}

// Texts

const list = document.getElementById('texts');
const known = new Set();

function showTexts(texts) {
  if (!list) return;
  for (const [time, text] of texts) {
    if (typeof text !== 'string' || known.has(`${time} ${text}`)) continue;
    known.add(`${time} ${text}`);
    const item = document.createElement('li');
    const stamp = document.createElement('time');
    stamp.textContent = when(time);
    item.dataset.ms = time;
    item.append(stamp, text);
    const next = [...list.children].find((other) => Number(other.dataset.ms) <= time);
    list.insertBefore(item, next ?? null);
  }
  while (list.childElementCount > MOST_TEXTS) list.lastElementChild.remove();
  document.getElementById('no-texts').hidden = list.childElementCount > 0;
}

// The chart

const note = document.getElementById('chart-note');
const place = document.getElementById('chart');
const toLive = document.getElementById('to-live');
const buttons = [...document.querySelectorAll('.ranges button')];
let chart = null;
let range_ms = 3_600_000;
let zoomed = null; // [from_ms, to_ms], while someone looks at the past
let gap_ms = view.timeout_ms;
let bucket_ms = 0;
let loaded_ms = 0;
let asked = 0;
let remark = ''; // below the chart, while nobody points into it
let pointed = null;
let recent = []; // readings that the history may not have stored yet

async function history(from_ms, to_ms, points) {
  const query = new URLSearchParams({ from: from_ms, to: to_ms, points });
  const response = await fetch(`${ROOT}history/${encodeURIComponent(codifier)}?${query}`);
  const answer = await response.json();
  if (response.ok) return answer;
  const after_s = Number(response.headers.get('Retry-After'));
  throw Object.assign(new Error(answer.error), { after_s });
}

async function load() {
  asked += 1;
  const mine = asked;
  const now = Math.ceil(serverNow());
  const [from, to] = zoomed ?? [now - range_ms, now + 1];
  loaded_ms = now;
  let answer;
  let failed = false;
  try {
    answer = await history(Math.max(0, from), to, chart ? chart.points : 2);
  } catch (error) {
    failed = true;
    if (mine === asked && note) say(`No history: ${error.message}`);
    if (error.after_s) setTimeout(() => { if (mine === asked) load(); }, error.after_s * 1000);
    answer = { t: [], v: [], gap_ms: view.timeout_ms, bucket_ms: 0, texts: [] };
  }
  if (mine !== asked) return; // another range was chosen meanwhile
  showTexts(answer.texts);
  if (!chart) return;
  gap_ms = answer.gap_ms;
  bucket_ms = answer.bucket_ms;
  const times = answer.t.map((ms) => ms / 1000);
  const copy = (column) => [...(column ?? answer.v)];
  chart.show([[times, answer.v, copy(answer.low), copy(answer.high)]], from, to);
  if (!zoomed) addRecent(recent);
  if (!failed) describe();
}

function say(text) {
  remark = text;
  put(note, pointed ?? remark);
}

function describe() {
  if (chart.columns[0][0].length === 0) say('No readings in this span yet.');
  else if (bucket_ms) say(`Each point is the mean of ${span(bucket_ms)}; the band shows lowest and highest.`);
  else say('');
}

function addRecent(points) {
  const numbers = points.filter(([, value]) => typeof value === 'number');
  let added = false;
  for (const [time, value] of numbers) {
    const last = chart.columns[0][0].at(-1);
    // Between two loads a reduced curve grows by about one point per bucket.
    if (bucket_ms && last !== undefined && time - last * 1000 < bucket_ms / 2) continue;
    if (time > serverNow() - range_ms) added = chart.add(time, value, gap_ms) || added;
  }
  return added;
}

function follow() {
  if (!chart || zoomed) return;
  const now = serverNow();
  chart.forget(now - 1.2 * range_ms);
  chart.move(now - range_ms, now);
}

function choose(from_to) {
  zoomed = from_to;
  toLive.hidden = zoomed === null;
  load();
}

if (place && globalThis.uPlot) {
  chart = new Chart(place, {
    lines: [{
      symbol: root.dataset.symbol,
      color: '--curve',
      shape: root.dataset.type === 'bool' ? 'step' : 'line',
      isBool: root.dataset.type === 'bool',
      hasBand: true,
    }],
    onCursor: (second) => {
      pointed = chart.readout(second);
      put(note, pointed ?? remark);
    },
    onZoom: (from, to) => { if (to - from >= 1000) choose([from, to]); },
    onReset: () => choose(null),
  });
  toLive.addEventListener('click', () => choose(null));
  for (const button of buttons) {
    button.addEventListener('click', () => {
      range_ms = Number(button.dataset.seconds) * 1000;
      for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
      choose(null);
    });
  }
}

connect((frame, isSnapshot) => {
  const record = frame.components[codifier];
  showFrame(frame);
  if (!record) return;
  const Lost = (record.DPacketsLost ?? 0) + (record.CPacketsLost ?? 0);
  view.show({ ...record, Lost, Time: record.Heard });
  showFacts(record);
  showToggle(record);
  showTexts(record.points);
  recent = isSnapshot ? record.points : recent.concat(record.points).slice(-120);
  if (isSnapshot) {
    load();
  } else if (chart && !zoomed && addRecent(record.points)) {
    describe();
    follow();
  }
}, { codifier });

setInterval(() => {
  view.tick();
  if (document.hidden) return;
  const isOld = bucket_ms && serverNow() - loaded_ms > Math.min(Math.max(bucket_ms, 15_000), 300_000);
  if (isOld && !zoomed) load();
  else follow();
}, 1000);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && serverNow() - loaded_ms > 60_000) load();
});
