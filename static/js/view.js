// What a card and a component page have in common: value, state, age and loss of one component.

import { serverNow } from './live.js';

const WORDS = { active: 'Active', halted: 'Halted', silent: 'Silent', unseen: 'Never seen' };
const STEPS = [[86_400, 'd'], [3_600, 'h'], [60, 'min']];

const TIME = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
const clock = new Intl.DateTimeFormat(undefined, TIME);
const dateTime = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', year: 'numeric', ...TIME,
});

/** A span of time in one or two short words. */
export function span(ms) {
  const seconds = Math.max(0, ms / 1000);
  for (const [size, unit] of STEPS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return seconds < 2 ? 'now' : `${Math.floor(seconds)} s`;
}

/** A time in the viewer's zone; without its date where it is today. */
export function when(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return String(ms);
  return date.toDateString() === new Date().toDateString()
    ? clock.format(date) : dateTime.format(date);
}

/** Put text into an element, and leave it alone if it is there already. */
export function put(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** One component on a page: finds its places once and fills them from each event. */
export class View {
  constructor(root) {
    this.root = root;
    this.codifier = root.dataset.codifier;
    this.target = root.dataset.target;
    this.timeout_ms = Number(root.dataset.timeout);
    this.places = {};
    for (const place of root.querySelectorAll('[data-show]')) {
      this.places[place.dataset.show] ??= place;
    }
    this.time_ms = null;
    this.points = [];
  }

  show(record) {
    const { places } = this;
    put(places.text, record.Text);
    put(places.unit, record.Unit);
    const lost = (record.DPacketsLost ?? 0) + (record.CPacketsLost ?? 0);
    put(places.lost, `${lost} lost`);
    places.lost?.classList.toggle('some', lost > 0);
    if (this.root.dataset.state !== record.State) {
      this.root.dataset.state = record.State;
      places.status.querySelector('use').setAttribute('href', `#i-${record.State}`);
      put(places.status.lastElementChild, WORDS[record.State]);
    }
    this.root.dataset.halted = record.Halted ? 'yes' : 'no';
    this.time_ms = record.DTimestamp ?? record.Heard;
    this.tick();
  }

  tick() {
    put(this.places.age, this.time_ms === null ? '' : span(serverNow() - this.time_ms));
  }
}

/** The banner for what collectors complain of, and the Codifiers that nobody configured. */
export function showFrame(frame) {
  const banner = document.getElementById('faults');
  const faults = Object.entries(frame.faults);
  const text = JSON.stringify(faults);
  if (banner && banner.dataset.shown !== text) {
    banner.dataset.shown = text;
    banner.replaceChildren(...faults.map(([codifier, [what, why]]) => {
      const line = document.createElement('p');
      const strong = document.createElement('strong');
      strong.textContent = what;
      const quiet = document.createElement('span');
      quiet.className = 'quiet';
      quiet.textContent = `(${codifier}; live values go on.)`;
      line.append(strong, ` ${why} `, quiet);
      return line;
    }));
    banner.hidden = faults.length === 0;
  }
  const strangers = document.getElementById('strangers');
  if (strangers) {
    strangers.hidden = frame.strangers.length === 0;
    put(strangers.lastElementChild, frame.strangers.join(', '));
  }
}
