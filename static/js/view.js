// What a card and a component page have in common: value, state, age and loss of one component.

import { serverNow } from './live.js';
import { localNumber } from './numbers.js';

export const WORDS = {
  active: 'Active', failing: 'Failing', silent: 'Silent', halted: 'Halted', unseen: 'Never seen',
};
/** The time zone of the viewer, such as Europe/Berlin. */
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
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
    this.isWords = 'words' in root.dataset; // its values are texts
    this.time_ms = null;
    this.points = [];
    if (this.places.text) this.show({ Text: this.places.text.textContent });
  }

  /** Show the fields that are there: Text, Unit, State, Reason, …; the others stay. */
  show({ Text, Unit, State, Reason, Halted, Lost, Time }) {
    const { places } = this;
    if (Text !== undefined) put(places.text, this.isWords ? Text : localNumber(Text));
    if (Unit !== undefined) put(places.unit, Unit);
    if (Lost !== undefined) {
      put(places.lost, `${Lost} lost`);
      places.lost?.classList.toggle('some', Lost > 0);
    }
    if (State !== undefined && this.root.dataset.state !== State) {
      this.root.dataset.state = State;
      places.status.querySelector('use').setAttribute('href', `#i-${State}`);
      put(places.status.lastElementChild, WORDS[State]);
    }
    if (Reason !== undefined && places.reason) {
      put(places.reason, Reason);
      const box = places.reason.closest('p');
      box.hidden = Reason === '';
      box.title = Reason;
    }
    if (Halted !== undefined) this.root.dataset.halted = Halted ? 'yes' : 'no';
    if (Time !== undefined) this.time_ms = Time;
    this.tick();
  }

  tick() {
    const { age } = this.places;
    const { state } = this.root.dataset;
    const isLate = state === 'silent' || state === 'failing';
    if (this.time_ms === null) {
      put(age, isLate ? 'no reading yet' : '');
    } else {
      const past = span(serverNow() - this.time_ms);
      put(age, isLate ? `for ${past}` : past);
      if (age) age.title = when(this.time_ms);
    }
  }
}

/** The banner for what collectors complain of, and the Codifiers that nobody configured. */
export function showFrame({ faults, strangers }) {
  if (faults) showFaults(Object.entries(faults));
  const place = document.getElementById('strangers');
  if (place && strangers) {
    place.hidden = strangers.length === 0;
    put(place.lastElementChild, strangers.join(', '));
  }
}

function showFaults(faults) {
  const banner = document.getElementById('faults');
  const text = JSON.stringify(faults);
  if (banner && banner.dataset.shown !== text) {
    banner.dataset.shown = text;
    banner.replaceChildren(...faults.map(([codifier, [what, why, since_ms, goesOn]]) => {
      const line = document.createElement('p');
      const strong = document.createElement('strong');
      strong.textContent = what;
      const quiet = document.createElement('span');
      quiet.className = 'quiet';
      quiet.textContent = `(${codifier}, since ${when(since_ms)}${goesOn ? '; live values go on' : ''}.)`;
      line.append(strong, ` ${why} `, quiet);
      return line;
    }));
    banner.hidden = faults.length === 0;
  }
}
