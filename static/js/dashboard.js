import { connect } from './live.js';
import { install } from './menu.js';
import { draw, RING, unpack } from './spark.js';
import { View, put, showFrame } from './view.js';

const views = new Map();
for (const root of document.querySelectorAll('.card')) {
  const view = new View(root);
  view.svg = root.querySelector('.spark');
  const { textContent, title } = root.querySelector('h3 a');
  view.words = `${textContent} ${title} ${view.codifier}`.toLowerCase();
  views.set(view.codifier, view);
}

// Curves are drawn once per frame of the screen, however many readings came, and only where seen.
const dirty = new Set();
const visible = new Set();
let asked = false;

function redraw() {
  asked = false;
  for (const view of dirty) {
    if (!visible.has(view)) continue;
    dirty.delete(view);
    draw(view.svg, view.points, view.timeout_ms);
  }
}

function soon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(redraw);
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const view = views.get(target.dataset.codifier);
    if (isIntersecting) visible.add(view);
    else visible.delete(view);
  }
  soon();
}, { rootMargin: '1000px' });
for (const view of views.values()) watcher.observe(view.root);

// What is shown: all, or one state, and what matches the words typed.
const chips = [...document.querySelectorAll('.chip')];
const field = document.getElementById('filter');
let only = null;

function sift() {
  const words = field.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const view of views.values()) {
    const fits = (only === null || view.root.dataset.state === only)
      && words.every((word) => view.words.includes(word));
    view.root.hidden = !fits;
    shown += fits;
  }
  for (const group of document.querySelectorAll('.group')) {
    group.hidden = !group.querySelector('.card:not([hidden])');
  }
  document.getElementById('nothing').hidden = shown > 0;
}

for (const chip of chips) {
  chip.addEventListener('click', () => {
    only = only === chip.dataset.state ? null : chip.dataset.state;
    for (const other of chips) {
      other.setAttribute('aria-pressed', String(other.dataset.state === only));
    }
    sift();
  });
}
field.addEventListener('input', sift);
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !event.target.closest('input')) {
    event.preventDefault();
    field.focus();
  }
});

function showSummary(summary) {
  for (const chip of chips) {
    const { state } = chip.dataset;
    put(chip.querySelector('b'), String(summary[state]));
    chip.hidden = summary[state] === 0 && state !== 'active' && only !== state;
  }
}

// A frame has what changed: of the cards, of their fields, and of the whole; times are ages.
connect((frame, isSnapshot) => {
  let moved = false;
  for (const [codifier, card] of Object.entries(frame.components)) {
    const view = views.get(codifier);
    if (!view) continue;
    const before = view.root.dataset.state;
    const points = card.Curve ? unpack(card.Curve, frame.now)
      : (card.points ?? []).map(([age, value]) => [frame.now - age, value]);
    view.points = isSnapshot ? points : view.points.concat(points).slice(-RING);
    view.show({ ...card, Time: 'Age' in card ? frame.now - card.Age : undefined });
    moved ||= before !== view.root.dataset.state;
    if (isSnapshot || points.length) dirty.add(view);
  }
  showFrame(frame);
  if (frame.summary) showSummary(frame.summary);
  if (moved) sift();
  soon();
}, { cards: 1 });
setInterval(() => { for (const view of views.values()) view.tick(); }, 1000);
install();
