// Which span of the history is shown: one that goes on, an earlier one of the calendar, or a marked one.
// It stands in the address, so that a link shows the same.

import { serverNow } from '../live.js';
import { put, when } from '../view.js';
import {
  WIDTHS_MS, beginOf, dateField, fromDateField, nameOf, shifted, yearBefore,
} from './spans.js';

const WORDS = {
  live: 'the last 15 minutes', hour: 'the last hour', day: 'the last 24 hours', week: 'the last 7 days',
  month: 'the last 30 days', year: 'the last 365 days',
};

export class Travel {
  /** `onChange()` is called when another span is chosen. */
  constructor(onChange) {
    this.onChange = onChange;
    this.unit = 'hour';
    this.begin = null; // of an earlier unit of the calendar, ms
    this.marked = null; // [from, to], ms
    this.buttons = [...document.querySelectorAll('.ranges [data-span]')];
    this.earlier = document.getElementById('earlier');
    this.later = document.getElementById('later');
    this.date = document.getElementById('date');
    this.read();
    for (const button of this.buttons) {
      button.addEventListener('click', () => this.go(button.dataset.span, null));
    }
    this.earlier.addEventListener('click', () => this.step(-1));
    this.later.addEventListener('click', () => this.step(1));
    document.getElementById('year-earlier').addEventListener('click', () => this.yearEarlier());
    document.getElementById('to-live').addEventListener('click', () => this.toLive());
    this.date.addEventListener('change', () => {
      const time = fromDateField(this.date.value);
      const unit = ['live', 'hour'].includes(this.unit) ? 'day' : this.unit;
      if (time >= 0) this.go(unit, beginOf(unit, time));
    });
    addEventListener('popstate', () => {
      this.read();
      this.show();
      this.onChange();
    });
    this.show();
  }

  /** Whether the span goes on. */
  get isLive() {
    return this.begin === null && this.marked === null;
  }

  /** The span: { from, to, label, isLive }, in whole ms. */
  span() {
    const { isLive } = this;
    if (this.marked) {
      const [from, to] = this.marked;
      return { from, to, label: `${when(from)} – ${when(to)}`, isLive };
    }
    if (this.begin !== null) {
      const to = shifted(this.unit, this.begin, 1);
      return { from: this.begin, to, label: nameOf(this.unit, this.begin), isLive };
    }
    const now = Math.ceil(serverNow());
    return { from: now - WIDTHS_MS[this.unit], to: now + 1, label: WORDS[this.unit], isLive };
  }

  /** Show a unit: the one that begins at a time, or up to now. */
  go(unit, begin) {
    this.unit = unit;
    this.begin = begin !== null && shifted(unit, begin, 1) > 0 ? Math.max(0, begin) : null;
    if (this.begin !== null && this.begin > serverNow()) this.begin = null;
    this.marked = null;
    this.changed();
  }

  /** Show the part of the chart that someone marked. */
  zoom(from, to) {
    this.marked = [Math.max(0, from), to];
    this.changed();
  }

  toLive() {
    this.go(this.unit, null);
  }

  /** The unit of the calendar in which the shown span is, and which one that is. */
  place() {
    const unit = this.unit === 'live' ? 'hour' : this.unit;
    const { from, to } = this.span();
    return [unit, this.begin ?? beginOf(unit, this.marked ? (from + to) / 2 : serverNow())];
  }

  step(steps) {
    const [unit, begin] = this.place();
    this.go(unit, shifted(unit, begin, steps));
  }

  yearEarlier() {
    const [unit, begin] = this.place();
    this.go(unit, yearBefore(unit, begin));
  }

  changed() {
    const query = new URLSearchParams();
    query.set('span', this.unit);
    if (this.marked) {
      query.set('from', this.marked[0]);
      query.set('to', this.marked[1]);
    } else if (this.begin !== null) {
      query.set('at', this.unit === 'hour' ? String(this.begin) : dateField(this.begin));
    }
    history.pushState(null, '', `?${query}`);
    this.show();
    this.onChange();
  }

  /** Take the span from the address. */
  read() {
    const query = new URLSearchParams(location.search);
    const unit = query.get('span');
    this.unit = unit in WIDTHS_MS ? unit : 'hour';
    const at = query.get('at') ?? '';
    const time = /^\d+$/.test(at) ? Number(at) : fromDateField(at);
    this.begin = time >= 0 && time < serverNow() ? beginOf(this.unit, time) : null;
    const [from, to] = [query.get('from'), query.get('to')].map((text) => Number(text ?? NaN));
    this.marked = from >= 0 && to > from ? [Math.round(from), Math.round(to)] : null;
  }

  show() {
    for (const button of this.buttons) {
      const isPressed = button.dataset.span === this.unit && this.marked === null;
      button.setAttribute('aria-pressed', String(isPressed));
    }
    const { from, label } = this.span();
    put(document.getElementById('span-label'), label);
    document.getElementById('to-live').hidden = this.isLive;
    this.later.disabled = this.isLive;
    this.date.value = dateField(from);
    this.date.max = dateField(serverNow());
  }
}
