import { press } from './commands.js';
import { Curve } from './component/curve.js';
import { showLastLines } from './component/last_lines.js';
import { Panels } from './component/panels.js';
import { Travel } from './component/travel.js';
import { letShowTables } from './data_table.js';
import { storeFile } from './graphs/export.js';
import { connect, serverNow } from './live.js';
import { exact, inSentence, rounded } from './numbers.js';
import { View, put, showFrame, when } from './view.js';

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
  if (kind === 'ms') return value < 1 ? 'under 1 ms' : `${rounded(value)} ms`;
  if (kind === 'count') return record[since] ? `${value} since ${when(record[since])}` : `${value}`;
  if (root.dataset.type === 'float' && typeof value === 'number') {
    return exact(Number(value.toPrecision(7))); // all that a float32 holds
  }
  if (typeof value === 'number') return exact(value);
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

for (const fact of root.querySelectorAll('[data-sentence]')) put(fact, inSentence(fact.textContent));

// Buttons

for (const form of root.querySelectorAll('.headline form')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const number = data.has('number') ? Number(data.get('number')) : undefined;
    press(form.querySelector('button'), data.get('codifier'), data.get('flag'), number);
  });
}

const slider = document.getElementById('slider');
if (slider) {
  const field = slider.form.elements.number;
  slider.setAttribute('aria-label', inSentence(slider.getAttribute('aria-label')));
  slider.addEventListener('input', () => { field.value = Number(Number(slider.value).toPrecision(3)); });
  field.addEventListener('input', () => { slider.value = field.value; });
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

// The history

// How often the panels of a span that goes on are brought up to date
const every = ({ from, to }) => Math.min(Math.max((to - from) / 120, 10_000), 60_000);

const curve = new Curve(root, view, showTexts);
const panels = new Panels(codifier, (events) => curve.mark(events));
const NOTED_MS = 2_500;
let state = root.dataset.state;
let shown_ms = 0; // when the panels were last asked for
const travel = document.getElementById('to-live') ? new Travel(show) : null;
letShowTables(document);
const log = document.getElementById('log');
if (log) showLastLines(log, codifier);
document.getElementById('download')?.addEventListener('click', () => {
  const { from, to } = travel.span();
  storeFile([{ codifier, field: 'value' }], [from, to], { format: 'csv', what: 'readings' });
});

function show() {
  curve.load(travel.span());
  showPanels();
}

function showPanels() {
  shown_ms = serverNow();
  const { from, to, label } = travel.span();
  panels.show(from, to, label);
}

curve.onZoom = (from, to) => travel.zoom(from, to);
curve.onReset = () => travel.toLive();

connect((frame, isSnapshot) => {
  const record = frame.components[codifier];
  showFrame(frame);
  if (!record) return;
  const Lost = (record.DPacketsLost ?? 0) + (record.CPacketsLost ?? 0);
  view.show({ ...record, Lost, Time: record.Heard });
  showFacts(record);
  showToggle(record);
  showTexts(record.points);
  curve.hear(record.points, isSnapshot);
  if (!travel) return;
  if (isSnapshot) show();
  // The server notes a change within a second or two.
  else if (record.State !== state && travel.isLive) setTimeout(showPanels, NOTED_MS);
  state = record.State;
}, { codifier });

setInterval(() => {
  view.tick();
  if (document.hidden || !travel) return;
  curve.tick(travel.span());
  if (travel.isLive && serverNow() - shown_ms > every(travel.span())) showPanels();
}, 1000);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && travel?.isLive && serverNow() - shown_ms > every(travel.span())) show();
});
