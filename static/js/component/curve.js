// The curve of one component, over the span that is shown; and its texts.

import { Chart, describe } from '../chart.js';
import { fillTable } from '../data_table.js';
import { letMove } from '../gestures.js';
import { ROOT, serverNow } from '../live.js';
import { put, span as rough, when } from '../view.js';

const AGAIN_MS = 5_000; // after a failure
const RECENT = 120;
const MOST_ROWS = 240; // of the table

const full = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});

export class Curve {
  /** `onTexts(texts)` is called with those of a span; `onZoom` and `onReset` as by a Chart. */
  constructor(root, view, onTexts) {
    this.codifier = view.codifier;
    this.timeout_ms = view.timeout_ms;
    this.onTexts = onTexts;
    this.onZoom = () => {};
    this.onReset = () => {};
    this.note = document.getElementById('chart-note');
    this.chart = null;
    this.line = {
      symbol: root.dataset.symbol,
      color: '--curve',
      shape: root.dataset.type === 'bool' ? 'step' : 'line',
      isBool: root.dataset.type === 'bool',
      hasBand: true,
    };
    this.isKept = root.dataset.history === 'yes';
    this.span = null;
    this.gap_ms = this.timeout_ms;
    this.bucket_ms = 0;
    this.loaded_ms = 0;
    this.asked = new AbortController();
    this.remark = ''; // below the chart, while nobody points into it
    this.pointed = null;
    this.recent = []; // readings that the history may not have stored yet
    this.since_ms = null; // while the history does not answer
    this.again = 0;
    this.moved = null; // [from, to], while someone moves the chart
    const place = document.getElementById('chart');
    if (place && globalThis.uPlot) {
      this.chart = new Chart(place, {
        lines: [this.line],
        onCursor: (second) => {
          const mark = this.markAt(second);
          this.pointed = [this.chart.readout(second), mark && `${when(mark.time_ms)} ${mark.words}`]
            .filter(Boolean).join(' · ') || null;
          put(this.note, this.pointed ?? this.remark);
        },
        onZoom: (from, to) => { if (to - from >= 1000) this.onZoom(from, to); },
        onReset: () => this.onReset(),
      });
      letMove(place, () => this.chart.plot, {
        spanOf: () => this.moved ?? [this.span.from, this.span.to],
        onMove: (from, to) => {
          this.moved = [from, to];
          this.chart.move(from, to);
        },
        onEnd: () => {
          if (this.moved) this.onZoom(...this.moved);
        },
        onReset: () => this.onReset(),
      });
    }
  }

  async load(span) {
    this.span = span;
    this.moved = null;
    this.loaded_ms = serverNow();
    this.asked.abort();
    this.asked = new AbortController();
    clearTimeout(this.again);
    const { signal } = this.asked;
    let answer;
    try {
      answer = await this.ask(span, signal);
      this.since_ms = null;
    } catch (error) {
      if (signal.aborted) return;
      this.since_ms ??= serverNow();
      this.say(`No history since ${when(this.since_ms)}: ${error.message}`);
      this.again = setTimeout(() => this.load(this.span), error.after_s ? error.after_s * 1000 : AGAIN_MS);
      // What is on the screen stays there, unless it is of another span.
      answer = { t: [], v: [], gap_ms: this.timeout_ms, bucket_ms: 0, texts: [] };
      if (this.loaded && this.loaded.from === span.from && this.loaded.to === span.to) return;
    }
    if (signal.aborted) return;
    this.loaded = span;
    this.onTexts(answer.texts);
    if (!this.chart) {
      if (this.since_ms === null) this.say('');
      return;
    }
    this.gap_ms = answer.gap_ms;
    this.bucket_ms = answer.bucket_ms;
    const copy = (column) => [...(column ?? answer.v)];
    this.chart.show(
      [[answer.t.map((ms) => ms / 1000), answer.v, copy(answer.low), copy(answer.high)]], span.from, span.to,
    );
    if (span.isLive) this.add(this.recent);
    if (this.since_ms === null) this.describe();
    this.tabulate();
  }

  async ask({ from, to }, signal) {
    if (!this.isKept) return { t: [], v: [], gap_ms: this.timeout_ms, bucket_ms: 0, texts: [] };
    const query = new URLSearchParams({ from: Math.max(0, from), to, points: this.chart ? this.chart.points : 2 });
    let response;
    try {
      response = await fetch(`${ROOT}history/${encodeURIComponent(this.codifier)}?${query}`, { signal });
    } catch (error) {
      throw new Error('the server does not answer.', { cause: error });
    }
    const answer = await response.json();
    if (response.ok) return answer;
    const after_s = Number(response.headers.get('Retry-After'));
    throw Object.assign(new Error(answer.error), { after_s });
  }

  /** Take readings of the live stream; those of a snapshot replace what was there. */
  hear(points, isSnapshot) {
    this.recent = isSnapshot ? points : this.recent.concat(points).slice(-RECENT);
    if (isSnapshot || !this.chart || !this.span?.isLive || !this.add(points)) return;
    if (this.since_ms === null) this.describe();
    this.follow(this.span.to - this.span.from);
  }

  add(points) {
    let added = false;
    const from = serverNow() - (this.span.to - this.span.from);
    for (const [time, value] of points) {
      if (typeof value !== 'number') continue;
      const last = this.chart.columns[0][0].at(-1);
      // Between two loads a reduced curve grows by about one point per bucket.
      if (this.bucket_ms && last !== undefined && time - last * 1000 < this.bucket_ms / 2) continue;
      if (time > from) added = this.chart.add(time, value, this.gap_ms) || added;
    }
    return added;
  }

  /** Mark times in the chart; what is there stands below it when someone points near. */
  mark(events) {
    if (!this.chart) return;
    this.chart.marks = events.map(({ time, kind, text }) => ({ time_ms: time, words: `${kind}${text && `: ${text}`}` }));
    this.chart.plot.redraw(false);
  }

  /** The mark next to a time, null if none is near. */
  markAt(second) {
    if (second === null) return null;
    const near_ms = (this.span.to - this.span.from) / 100;
    const distance = ({ time_ms }) => Math.abs(time_ms - second * 1000);
    return this.chart.marks.filter((mark) => distance(mark) < near_ms)
      .sort((a, b) => distance(a) - distance(b))[0] ?? null;
  }

  /** Go on with time; load again what is too old. */
  tick(span) {
    if (!span.isLive || !this.span?.isLive) return;
    const isOld = this.bucket_ms
      && serverNow() - this.loaded_ms > Math.min(Math.max(this.bucket_ms, 15_000), 300_000);
    if (isOld) this.load(span);
    else if (this.chart) this.follow(span.to - span.from);
  }

  follow(width_ms) {
    if (this.moved) return;
    const now = serverNow();
    this.chart.forget(now - 1.2 * width_ms);
    this.chart.move(now - width_ms, now);
  }

  say(text) {
    this.remark = text;
    put(this.note, this.pointed ?? text);
  }

  describe() {
    if (!this.isKept) this.say('This network keeps no history.');
    else if (this.chart.columns[0][0].length === 0) this.say('No readings in this span yet.');
    else if (this.bucket_ms) this.say(`Each point is the mean of ${rough(this.bucket_ms)}; the band shows lowest and highest.`);
    else this.say('');
  }

  /** Put the points into the table; where they are many, several into one row. */
  tabulate() {
    const [times, values, lows, highs] = this.chart.columns[0];
    const places = [...values.keys()].filter((place) => values[place] !== null);
    const step = Math.ceil(places.length / MOST_ROWS) || 1;
    const text = (value) => describe({ value, low: value, high: value }, this.line);
    const rows = [];
    for (let first = 0; first < places.length; first += step) {
      const group = places.slice(first, first + step);
      const mean = group.reduce((sum, place) => sum + values[place], 0) / group.length;
      rows.push([
        full.format(new Date(times[group[0]] * 1000)),
        text(mean),
        text(Math.min(...group.map((place) => lows[place]))),
        text(Math.max(...group.map((place) => highs[place]))),
      ]);
    }
    const isEach = step === 1 && !this.bucket_ms;
    const heads = isEach ? ['Time', 'Value'] : ['From', 'Mean', 'Lowest', 'Highest'];
    const shown = isEach ? rows.map((row) => row.slice(0, 2)) : rows;
    fillTable(document.getElementById('chart-table'), 'The readings of the chart', heads, shown, [1, 2, 3]);
  }
}
