// The charts of a graph, one below the other, with one time axis and one cursor; texts as strips.

import { Chart, describe } from '../chart.js';
import { letMove } from '../gestures.js';
import { COLORS } from './address.js';

const DASH = [7, 4]; // of the lines that have the colour of another one
const EARLIER_DASH = [4, 3];
const REACH = 6; // pixels around a mark that tell what it is

/** The colour of a line, as the name of a CSS variable. */
export const colorOf = (line, place) => `--line-${line.color || (place % COLORS) + 1}`;
export const isDashed = (line, place) => !line.color && place >= COLORS;

/** Lines by chart: two units in each, or one, or each line alone. Each has its place and its axis. */
export function groupsOf(lines, layout, infoOf) {
  const drawn = lines.map((line, place) => ({ line, place, info: infoOf(line.codifier) }))
    .filter(({ info }) => !info.isText);
  if (layout === 'lines') return drawn.map((one) => [{ ...one, axis: one.line.axis || 'left' }]);
  const most = layout === 'units' ? 1 : 2;
  const unitOf = ({ info }) => (info.isBool ? 'on or off' : info.symbol);
  const units = [...new Set(drawn.filter(({ line }) => !line.axis || most === 1).map(unitOf))];
  const groups = [];
  for (const one of drawn) {
    const isFree = one.line.axis && most === 2; // on an axis that a person chose, in the first chart
    const number = isFree ? 0 : Math.floor(units.indexOf(unitOf(one)) / most);
    const axis = one.line.axis || (units.indexOf(unitOf(one)) % most ? 'right' : 'left');
    (groups[number] ??= []).push({ ...one, axis });
  }
  return groups.filter(Boolean);
}

export class Stage {
  constructor(place, { infoOf, onCursor, onZoom, onReset, onMove, onEnd }) {
    this.place = place;
    this.infoOf = infoOf;
    this.on = { onCursor, onZoom, onReset, onMove, onEnd };
    this.groups = [];
    this.charts = [];
    this.strips = [];
    this.answers = [];
    this.earlier = [];
    this.span = [0, 1];
    this.marks = [];
    this.offset_ms = 0; // of the earlier period
  }

  /** Make room for the lines of a graph. */
  arrange({ lines, layout, before }) {
    for (const chart of this.charts) chart.destroy();
    this.lines = lines;
    this.groups = groupsOf(lines, layout, this.infoOf);
    this.charts = [];
    this.strips = [];
    this.answers = [];
    this.earlier = [];
    const parts = [];
    for (const group of globalThis.uPlot ? this.groups : []) parts.push(this.frame(group));
    lines.forEach((line, place) => {
      const info = this.infoOf(line.codifier);
      if (info.isText) parts.push(...this.strip(line, place, info));
    });
    if (lines.length === 0) {
      const empty = document.createElement('p');
      empty.className = 'empty';
      empty.textContent = 'Add a sensor below to see its history.';
      parts.push(empty);
    }
    this.place.classList.toggle('several', this.groups.length > 1);
    this.place.replaceChildren(...parts);
    if (!globalThis.uPlot) return;
    this.groups.forEach((group, number) => {
      const chart = new Chart(parts[number], {
        lines: this.chartLines(group, before),
        key: this.groups.length > 1 ? 'graphs' : null,
        onCursor: this.on.onCursor,
        onZoom: this.on.onZoom,
        onReset: this.on.onReset,
      });
      this.charts.push(chart);
      letMove(parts[number], () => this.charts[number].plot, { spanOf: () => this.span, ...this.on });
    });
  }

  frame(group) {
    const frame = document.createElement('div');
    frame.className = 'chart';
    frame.tabIndex = 0;
    frame.setAttribute('role', 'application');
    frame.setAttribute('aria-roledescription', 'chart');
    const names = group.map(({ info }) => info.name).join(', ');
    frame.setAttribute('aria-label', `${names}. Arrows move, plus and minus zoom, 0 goes back; the data is in the table below.`);
    return frame;
  }

  strip(line, place, info) {
    const name = document.createElement('p');
    name.className = 'quiet strip-name';
    name.textContent = info.name;
    const strip = document.createElement('div');
    strip.className = 'strip';
    this.strips.push({ strip, place });
    return [name, strip];
  }

  chartLines(group, before) {
    const lines = group.map(({ line, place, info, axis }) => ({
      symbol: info.symbol,
      axis,
      color: colorOf(line, place),
      shape: line.shape || (info.isBool ? 'step' : 'line'),
      isBool: info.isBool,
      hasBand: line.band && !line.smoothing && line.shape !== 'points',
      dash: isDashed(line, place) ? DASH : undefined,
    }));
    if (!before) return lines;
    return [...lines, ...lines.map((line) => ({ ...line, isPale: true, hasBand: false, dash: EARLIER_DASH }))];
  }

  /** How many points of a line are worth asking for. */
  get points() {
    return this.charts[0]?.points ?? 500;
  }

  /** Show the answer of the server; the earlier period is moved by offset_ms. */
  show(answer, span, offset_ms) {
    this.answers = answer.lines;
    this.offset_ms = offset_ms;
    this.earlier = answer.earlier.map((line) => (line.columns ? {
      ...line,
      columns: [line.columns[0].map((second) => second + offset_ms / 1000), ...line.columns.slice(1)],
    } : line));
    this.span = span;
    this.groups.forEach((group, number) => {
      const of = (lines) => group.map(({ place }) => lines[place]?.columns ?? [[], [], [], []]);
      const columns = of(this.answers);
      if (this.charts[number]?.lines.length > group.length) columns.push(...of(this.earlier));
      this.charts[number]?.show(columns, ...span);
    });
    for (const { strip, place } of this.strips) {
      this.fillStrip(strip, this.answers[place]?.texts ?? [], place);
    }
    this.move(...span);
  }

  fillStrip(strip, texts) {
    const colors = new Map();
    strip.replaceChildren(...texts.map(([ms, text], index) => {
      if (!colors.has(text)) colors.set(text, (colors.size % COLORS) + 1);
      const part = document.createElement('span');
      part.textContent = text;
      part.title = text;
      part.dataset.from = ms;
      part.dataset.to = texts[index + 1]?.[0] ?? '';
      part.style.setProperty('--strip', `var(--line-${colors.get(text)})`);
      return part;
    }));
  }

  /** Show another span of the same points. */
  move(from, to) {
    this.span = [from, to];
    for (const chart of this.charts) chart.move(from, to);
    const share = (ms) => Math.max(0, Math.min(1, (ms - from) / (to - from)));
    for (const { strip } of this.strips) {
      for (const part of strip.children) {
        const begin = share(Number(part.dataset.from));
        const end = part.dataset.to ? share(Number(part.dataset.to)) : 1;
        part.style.left = `${100 * begin}%`;
        part.style.width = `${100 * (end - begin)}%`;
        part.hidden = end <= begin;
      }
    }
  }

  /** Add readings of a component to its lines of values: [ms, number]; true if there were any. */
  add(codifier, readings) {
    let added = false;
    this.groups.forEach((group, number) => {
      const chart = this.charts[number];
      group.forEach(({ line, place }, index) => {
        const known = this.answers[place];
        if (!known?.columns || line.codifier !== codifier || line.smoothing || line.resolution) return;
        if (line.field !== 'value' && line.field !== 'mean') return;
        for (const [ms, value] of readings) {
          const last = chart?.columns[index][0].at(-1);
          // Between two loads a reduced line grows by about one point for each bucket.
          if (known.bucket_ms && last !== undefined && ms - last * 1000 < known.bucket_ms / 2) continue;
          added = chart?.add(ms, value, known.gap_ms, index) || added;
        }
      });
    });
    return added;
  }

  /** The marks next to a time. */
  marksAt(second) {
    const [from, to] = this.span;
    const reach_ms = (REACH * (to - from)) / Math.max(1, this.place.clientWidth);
    return this.marks.filter(({ time_ms }) => Math.abs(time_ms - second * 1000) <= reach_ms);
  }

  /** Draw marks into all charts. */
  mark(marks) {
    this.marks = marks;
    for (const chart of this.charts) {
      chart.marks = marks;
      chart.plot.redraw(false, false);
    }
  }

  /** What each line has at a time, in words: [now, earlier], null where there is nothing. */
  readouts(second) {
    const found = this.lines.map(() => [null, null]);
    this.groups.forEach((group, number) => {
      const chart = this.charts[number];
      group.forEach(({ place }, index) => {
        const words = (line) => {
          const point = chart?.columns[line]?.[0].length ? chart.at(second, line) : null;
          return point && describe(point, chart.lines[line]);
        };
        found[place] = [words(index), words(index + group.length)];
      });
    });
    for (const { place } of this.strips) {
      const before = (this.answers[place]?.texts ?? []).filter(([ms]) => ms <= second * 1000);
      found[place] = [before.at(-1)?.[1] ?? null, null];
    }
    return found;
  }
}
