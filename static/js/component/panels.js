// What the server tells of the shown span beside the curve: statistics, availability, totals, states.

import { fillTable } from '../data_table.js';
import { svgElement } from '../elements.js';
import { inSentence, localNumber, rounded } from '../numbers.js';
import { request } from '../request.js';
import { put, when, ZONE } from '../view.js';
import { brief, lasting } from './spans.js';

const HOUR_MS = 3_600_000;
const AGAIN_MS = 8_000; // after a failure that may pass
const FEW = 8; // outages that are shown at first
const COLORS = 8; // of texts, see component.css

const KINDS = { silent: 'Silent', failing: 'Failing', halted: 'Halted' };

const NAME = document.querySelector('h1 bdi').textContent;
const EVENTS = { restart: 'Restart', configuration: 'Configuration', alert: 'Alert', note: 'Note' };

const percent = (share, digits = 2) => share.toLocaleString(undefined, {
  style: 'percent', maximumFractionDigits: digits,
});
/** Of nearly all that is never said to be all. */
const availability = (share) => {
  const digits = share > 0.999 ? 3 : 2;
  return percent(Math.floor(share * 100 * 10 ** digits) / 100 / 10 ** digits, digits);
};

function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

function rectangle(svg, x, y, width, height, name = '') {
  const made = svgElement('rect', { x, y, width, height, ...(name && { class: name }) });
  svg.append(made);
  return made;
}

/** Tell of the rectangle under the pointer, and of none when it leaves. */
function letPoint(svg, tell) {
  let pointed = null;
  const point = (rect) => {
    pointed?.classList.remove('pointed');
    pointed = rect;
    pointed?.classList.add('pointed');
    tell(rect);
  };
  svg.addEventListener('pointermove', ({ target }) => point(target.closest('rect')));
  svg.addEventListener('pointerleave', () => point(null));
}

class Summary {
  constructor(root) {
    this.root = root;
    this.what = 'summary';
  }

  query() {
    return {};
  }

  show(answer) {
    for (const name of ['mean', 'median', 'min', 'max', 'stdev']) {
      const { text, unit } = answer[name] ?? { text: '–', unit: '' };
      put(part(this.root, name), `${localNumber(text)} ${unit}`.trim());
    }
    put(part(this.root, 'count'), rounded(answer.count));
  }
}

class Outages {
  constructor(root) {
    this.root = root;
    this.what = 'outages';
    this.isOpen = false;
    part(root, 'more').addEventListener('click', () => {
      this.isOpen = !this.isOpen;
      this.list();
    });
  }

  query() {
    return {};
  }

  show(answer) {
    this.answer = answer;
    const { share, outages, observed_ms } = answer;
    const away = outages.filter(({ kind }) => kind !== 'halted').length;
    put(part(this.root, 'share'), share === null ? '' : availability(share));
    put(part(this.root, 'words'), share === null ? 'Nothing is known of this span.'
      : `of ${lasting(observed_ms)}${away === 0 ? ', without an outage' : ''}`);
    this.list();
  }

  list() {
    const { outages, now, count } = this.answer;
    const shown = outages.slice(0, this.isOpen ? outages.length : FEW);
    const place = part(this.root, 'list');
    place.hidden = outages.length === 0;
    fillTable(place, 'Outages', ['Began', 'Ended', 'Lasted', 'What and why'], shown.map(
      ({ begin, end, kind, reason }) => [
        brief(begin),
        end === null ? 'goes on' : brief(end),
        lasting((end ?? now) - begin),
        `${KINDS[kind]}${reason ? `: ${reason}` : ''}`,
      ],
    ));
    const more = part(this.root, 'more');
    more.hidden = outages.length <= FEW;
    const known = count > outages.length ? `the newest ${outages.length} of ${count}` : `all ${outages.length}`;
    put(more, this.isOpen ? 'Show fewer' : `Show ${known}`);
  }
}

/** What happened beside outages, as a list; all of it goes to the chart as marks. */
class Events {
  constructor(root, onEvents) {
    this.root = root;
    this.what = 'events';
    this.onEvents = onEvents;
  }

  query() {
    return {};
  }

  show({ events }) {
    const told = events.filter(({ kind }) => kind in EVENTS);
    this.root.hidden = told.length === 0;
    fillTable(part(this.root, 'list'), 'Events', ['When', 'What'], told.map(({ time, kind, text, who, codifier }) => [
      brief(time),
      [EVENTS[kind], codifier === '' ? ' of the network' : '', text && `: ${kind === 'alert' ? inSentence(text, NAME) : text}`, who && ` (${who})`].join(''),
    ]));
    this.onEvents(events.filter(({ kind }) => kind !== 'active'));
  }
}

class Totals {
  constructor(root) {
    this.root = root;
    this.what = 'totals';
    letPoint(root.querySelector('svg'), (rect) => put(part(root, 'note'), rect?.dataset.text ?? ''));
  }

  query(from, to) {
    const hours = (to - from) / HOUR_MS;
    this.per = hours <= 50 ? 'hour' : hours <= 100 * 24 ? 'day' : 'month';
    return { per: this.per, zone: ZONE };
  }

  name({ begin, end }) {
    if (this.per === 'hour') {
      const hour = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
      return new Intl.DateTimeFormat(undefined, hour).format(begin);
    }
    const format = this.per === 'day'
      ? { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' } : { month: 'long', year: 'numeric' };
    return new Intl.DateTimeFormat(undefined, format).format((begin + end) / 2);
  }

  show({ totals, sum }) {
    put(part(this.root, 'title'), `Total per ${this.per}`);
    put(part(this.root, 'sum'), sum ? `${localNumber(sum.text)} ${sum.unit} in all` : '');
    const svg = this.root.querySelector('svg');
    svg.replaceChildren();
    const most = Math.max(...totals.map(({ value }) => value ?? 0));
    const step = 1000 / totals.length;
    totals.forEach((total, place) => {
      const height = most > 0 ? (100 * Math.max(0, total.value ?? 0)) / most : 0;
      // Over the whole height, so that a low one can be pointed at, too.
      const rect = rectangle(svg, place * step + step * 0.1, 100 - height, step * 0.8, height);
      rect.dataset.text = `${this.name(total)}: ${this.words(total)}`;
    });
    put(part(this.root, 'first'), totals.length ? this.name(totals[0]) : '');
    put(part(this.root, 'last'), totals.length > 1 ? this.name(totals.at(-1)) : '');
    const heads = [this.per === 'hour' ? 'Hour' : this.per === 'day' ? 'Day' : 'Month', 'Total'];
    const rows = totals.map((total) => [this.name(total), this.words(total)]);
    fillTable(document.getElementById('totals-table'), 'Totals', heads, rows, [1]);
  }

  words({ value, text, unit }) {
    return value === null ? 'no readings' : `${localNumber(text)} ${unit}`;
  }
}

class Bars {
  constructor(root) {
    this.root = root;
    this.what = 'bars';
    this.note = '';
    letPoint(root.querySelector('svg'), (rect) => put(part(root, 'note'), rect?.dataset.text ?? this.note));
  }

  query() {
    return {};
  }

  show({ from, to, complete_from, bars, states }) {
    const names = new Map(states.map(({ state }, place) => [state, place % COLORS]));
    const nameOf = (state) => {
      if (state === null) return 'state-mixed';
      if (this.isSwitch) return `state-${state}`;
      return `state-${names.get(state) ?? COLORS - 1}`;
    };
    this.isSwitch = this.root.closest('[data-type]').dataset.type === 'bool';
    const svg = this.root.querySelector('svg');
    svg.replaceChildren();
    const x = (time) => (1000 * (time - from)) / (to - from);
    const words = ({ state, share }) => state ?? `on and off, ${percent(share, 0)} on`;
    for (const bar of bars) {
      const rect = rectangle(svg, x(bar.begin), 0, Math.max(x(bar.end) - x(bar.begin), 0.5), 10, nameOf(bar.state));
      rect.dataset.text = `${words(bar)}: ${when(bar.begin)} to ${when(bar.end)}, ${lasting(bar.end - bar.begin)}`;
    }
    this.note = complete_from > from ? `Shown since ${when(complete_from)}.`
      : bars.length === 0 ? 'No readings in this span yet.' : '';
    put(part(this.root, 'note'), this.note);
    this.root.querySelector('.states').replaceChildren(...states.map(({ state, ms, times }) => {
      const item = document.createElement('li');
      item.className = nameOf(state);
      item.textContent = `${state}: ${lasting(ms)}${times ? `, ${times} ${times === 1 ? 'time' : 'times'}` : ''}`;
      return item;
    }));
    fillTable(document.getElementById('bars-table'), 'States', ['State', 'From', 'To', 'Lasted'], [...bars].reverse().map(
      (bar) => [words(bar), when(bar.begin), when(bar.end), lasting(bar.end - bar.begin)],
    ));
  }
}

const KINDS_OF_PANELS = {
  bars: Bars, totals: Totals, summary: Summary, outages: Outages, events: Events,
};

/** All panels of a component's page that are there. */
export class Panels {
  /** `onEvents(events)` is called with what is to be marked. */
  constructor(codifier, onEvents) {
    this.codifier = codifier;
    this.again = 0;
    this.asked = new AbortController();
    this.panels = Object.entries(KINDS_OF_PANELS)
      .map(([id, Panel]) => [document.getElementById(id), Panel])
      .filter(([root]) => root)
      .map(([root, Panel]) => new Panel(root, onEvents));
  }

  /** Ask about a span, one question after the other, and show the answers. */
  async show(from, to, label) {
    this.asked.abort();
    this.asked = new AbortController();
    clearTimeout(this.again);
    const { signal } = this.asked;
    let mayPass = false;
    for (const panel of this.panels) {
      const query = new URLSearchParams({ from, to, ...panel.query(from, to) });
      let problem = '';
      try {
        const answer = await request(`history/${encodeURIComponent(this.codifier)}/${panel.what}?${query}`, { signal });
        if (signal.aborted) return;
        panel.show(answer);
      } catch (error) {
        if (signal.aborted) return;
        problem = error.message;
        mayPass ||= !(error.status < 500 && error.status !== 429);
      }
      const told = panel.root.querySelector(':scope > [data-part="problem"]') ?? part(panel.root, 'note');
      if (told.dataset.part === 'problem') told.hidden = problem === '';
      if (problem || told.dataset.part === 'problem') put(told, problem);
      const labelled = part(panel.root, 'label');
      if (labelled) put(labelled, label);
    }
    if (mayPass) this.again = setTimeout(() => this.show(from, to, label), AGAIN_MS);
  }
}
