import { connect } from './live.js';
import { install as installMenu } from './menu.js';
import { Board } from './overview/board.js';
import { Card } from './overview/card.js';
import { Choices } from './overview/choices.js';
import { install as installKeys } from './overview/keys.js';
import { ask } from './overview/set.js';
import { Wall } from './overview/wall.js';
import { unpack } from './spark.js';
import { Troubles } from './troubles.js';
import { put, showFrame } from './view.js';

const SETTLE_MS = 500; // until cards change places, so that many at once are one move
const SORT_MS = 5_000; // between two looks at an order that values change all the time

const root = document.getElementById('board');
const cards = new Map();
[...document.querySelectorAll('.card')].forEach((place, index) => {
  const card = new Card(place, index);
  cards.set(card.codifier, card);
});
const board = new Board(root, [...cards.values()]);
const tools = document.getElementById('tools');
const chips = [...document.querySelectorAll('.chips .chip')];
const field = document.getElementById('filter');
const troubles = new Troubles(document.getElementById('troubles'));

// Only cards that are on the screen are touched, once per frame of the screen. Curves of two minutes
// move on by a pixel in a second; the more of them are seen, the less often each is drawn.
const CURVE_MS = 3_000;
const CURVE_OF_MANY_MS = 50; // for each one that is seen
const MANY = 60; // cards on the screen, from which on none is touched more often than this:
const MANY_MS = 750;
const dirty = new Set();
const visible = new Set();
let asked = false;
let redrawn_ms = -Infinity;
let waiting = 0;

function redraw(now_ms) {
  asked = false;
  redrawn_ms = now_ms;
  const every_ms = Math.max(CURVE_MS, CURVE_OF_MANY_MS * visible.size);
  const hasCurves = !root.classList.contains('is-rows');
  for (const card of dirty) {
    if (visible.has(card)) {
      dirty.delete(card);
      card.render();
      if (hasCurves) card.drawIfDue(now_ms, every_ms);
    }
  }
}

/** Redraw in the next frame of the screen, or a little later if many cards are seen. */
function soon(isDue = false) {
  if (asked) return;
  const left_ms = redrawn_ms + MANY_MS - performance.now();
  if (!isDue && visible.size > MANY && left_ms > 0) {
    waiting ||= setTimeout(() => soon(true), left_ms);
    return;
  }
  clearTimeout(waiting);
  waiting = 0;
  asked = true;
  requestAnimationFrame(redraw);
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const card = cards.get(target.dataset.codifier);
    if (isIntersecting) {
      visible.add(card);
      dirty.add(card);
    } else {
      visible.delete(card);
    }
  }
  soon(true);
}, { rootMargin: '100px' });
for (const { root: place } of cards.values()) watcher.observe(place);

// What is shown, and how

const choices = new Choices(() => show());
const wall = new Wall(root, {
  onEnter: () => choices.set({ wall: '1' }),
  onLeave: () => choices.set({ wall: '' }),
});

/** Fill a list with what the components have; nothing to choose from is not shown. */
function offer(name, values) {
  const list = tools.elements[name];
  const depth = (value) => value.split('/').length - 1;
  for (const value of [...new Set(values)].filter(Boolean).sort()) {
    const text = name === 'area' ? '\u2003'.repeat(depth(value)) + value.split('/').at(-1) : value;
    list.append(new Option(text, value));
  }
  list.parentElement.hidden = list.options.length < 2;
}

const all = [...cards.values()];
offer('area', all.flatMap(({ area }) => area.split('/').map((part, place, parts) => (
  parts.slice(0, place + 1).join('/')))));
offer('type', all.map(({ type }) => type));
offer('host', all.map(({ host }) => host));
offer('label', all.flatMap(({ labels }) => labels));

function arrange() {
  const { now } = choices;
  const group = tools.elements.group.value;
  const shown = board.arrange(now, group, tools.elements.sort.value);
  document.getElementById('nothing').hidden = shown > 0;
  wall.fit();
  soon(true);
}

/** Choose an entry of a list; one that is not there any more counts as the usual one. */
function choose(list, value, usual) {
  list.value = value;
  if (list.selectedIndex < 0) list.value = usual;
}

function show() {
  const { now } = choices;
  const view = ['tiles', 'rows'].includes(now.view) ? now.view : tools.dataset.view;
  root.classList.toggle('is-rows', view === 'rows');
  root.classList.toggle('is-tiles', view === 'tiles');
  for (const button of tools.querySelectorAll('.ranges button')) {
    button.setAttribute('aria-pressed', String(button.dataset.view === view));
  }
  choose(tools.elements.group, now.group, tools.dataset.group);
  choose(tools.elements.sort, now.sort, 'worst');
  for (const name of ['area', 'type', 'host', 'label']) {
    const list = tools.elements[name];
    if (now[name] && ![...list.options].some(({ value }) => value === now[name])) {
      list.append(new Option(now[name], now[name])); // as an address says, even if nothing is there
      list.parentElement.hidden = false;
    }
    list.value = now[name];
  }
  const states = now.state.split(',');
  for (const chip of chips) {
    const isPressed = states.includes(chip.dataset.state);
    chip.setAttribute('aria-pressed', String(isPressed));
    if (isPressed) chip.hidden = false;
  }
  if (field.value.trim() !== now.q.trim()) field.value = now.q;
  document.getElementById('show-all').hidden = !choices.isFiltered;
  const count = document.getElementById('filtered');
  count.hidden = choices.filters === 0;
  count.textContent = String(choices.filters);
  wall.isFree = view !== now.view;
  wall.show(now.wall === '1');
  for (const card of visible) dirty.add(card); // their curves
  arrange();
}

for (const chip of chips) {
  chip.addEventListener('click', () => {
    const states = new Set(choices.now.state.split(',').filter(Boolean));
    if (!states.delete(chip.dataset.state)) states.add(chip.dataset.state);
    choices.set({ state: [...states].join(',') });
  });
}
field.addEventListener('input', () => choices.set({ q: field.value }, true));
tools.addEventListener('submit', (event) => event.preventDefault());
tools.addEventListener('change', ({ target: { name, value } }) => {
  const usual = { group: tools.dataset.group, sort: 'worst' }[name];
  choices.set({ [name]: value === usual ? '' : value });
});
tools.addEventListener('click', ({ target }) => {
  const { view } = target.closest('button')?.dataset ?? {};
  if (view) choices.set({ view: view === tools.dataset.view ? '' : view });
});
document.getElementById('show-all').addEventListener('click', () => choices.showAll());
document.getElementById('open-tools').addEventListener('click', ({ currentTarget }) => {
  const isOpen = tools.classList.toggle('is-open');
  currentTarget.setAttribute('aria-expanded', String(isOpen));
});
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !event.target.closest('input, select, dialog')) {
    event.preventDefault();
    field.focus();
  }
});
document.getElementById('troubles').addEventListener('click', (event) => {
  const link = event.target.closest('a');
  const query = link && new URL(link.href).searchParams;
  const host = query?.get('host');
  if (!host || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault(); // the cards are here already
  choices.set({ host, state: query.get('state') ?? '' });
});

// Orders change with time, but not under somebody's hands.

const isBusy = () => document.querySelector('.menu:not([hidden]), dialog[open]') !== null;
let settling = 0;

function settle() {
  settling ||= setTimeout(() => {
    settling = 0;
    if (isBusy()) settle();
    else arrange();
  }, SETTLE_MS);
}

setInterval(() => {
  const changes = ['value', 'age', 'loss'].includes(tools.elements.sort.value);
  if (changes && !document.hidden) settle();
}, SORT_MS);

function showSummary(summary) {
  for (const chip of chips) {
    const { state } = chip.dataset;
    put(chip.querySelector('b'), String(summary[state]));
    const isPressed = chip.getAttribute('aria-pressed') === 'true';
    chip.hidden = summary[state] === 0 && state !== 'active' && !isPressed;
  }
}

// A frame has what changed: of the cards, of their fields, and of the whole; times are ages.
connect((frame, isSnapshot) => {
  let isMoved = false;
  for (const [codifier, fields] of Object.entries(frame.components)) {
    const card = cards.get(codifier);
    if (!card) continue;
    const points = fields.Curve ? unpack(fields.Curve, frame.now)
      : (fields.points ?? []).map(([age, value]) => [frame.now - age, value]);
    isMoved = card.take(fields, points, isSnapshot, frame.now) || isMoved;
    dirty.add(card);
  }
  showFrame(frame);
  if (frame.summary) showSummary(frame.summary);
  if (frame.troubles && troubles.show(frame.troubles)) wall.fit();
  if (isMoved) settle();
  soon();
}, { cards: 1 });
setInterval(() => { for (const card of visible) card.tick(); }, 1_000);

installMenu((place) => {
  const { title, number } = cards.get(place.dataset.codifier);
  ask(place, title, number);
});
installKeys(root);
show();
