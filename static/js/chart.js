// Lines over time as a uPlot chart that goes on living: of one component, or of several.

import { rounded } from './numbers.js';

const POINTS_PER_PIXEL = 1;
const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BYTES = new Set(['B', 'B/s', 'bit', 'bit/s']);
const PREFIXED = new Set([...BYTES, 'Hz', 'W', 'Wh', 'VA', 'H/s']);
const DURATIONS = [[86_400, 'd'], [3_600, 'h'], [60, 'min']];
const DAY_S = 86_400;
const BAND = '2b'; // alpha of a band
const PALE = '80'; // and of a pale line

const hours = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const seconds = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const days = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});

/** One unit for a whole axis: [divisor, unit], chosen by the largest number on it. */
export function scaleOf(symbol, largest) {
  if (symbol === 's') {
    for (const [size, unit] of DURATIONS) if (largest >= 2 * size) return [size, unit];
  }
  if (!PREFIXED.has(symbol)) return [1, symbol];
  let divisor = 1;
  let step = 0;
  let limit = BYTES.has(symbol) ? 1_000 : 10_000;
  while (largest >= limit && step < PREFIXES.length - 1) {
    divisor *= 1000;
    step += 1;
    limit = divisor * 1000;
  }
  return [divisor, PREFIXES[step] + symbol];
}

/** The decimal places that a step needs, so that no label says another number than its line has. */
export function placesFor(step) {
  for (let places = 0; places < 12; places += 1) {
    const scaled = step * 10 ** places;
    const whole = Math.round(scaled);
    if (whole >= 1 && Math.abs(scaled - whole) < 1e-6 * whole) return places;
  }
  return 12;
}

/** The multiples of a step from one number to another. */
export function multiples(low, high, step) {
  const found = [];
  const last = Math.floor(high / step + 1e-9);
  for (let count = Math.ceil(low / step - 1e-9); count <= last; count += 1) {
    found.push(count * step + 0); // + 0, since -0 would get a minus
  }
  return found;
}

// Steps of an axis: 1, 2, 2.5 and 5 times a power of ten.
const STEPS = [];
for (let power = -12; power <= 18; power += 1) {
  for (const step of [1, 2, 2.5, 5]) STEPS.push(Number(`${step}e${power}`));
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function timeLabels(plot, splits, axis, space, step) {
  return splits.map((second) => {
    const date = new Date(second * 1000);
    if (step >= DAY_S) return days.format(date);
    const isMidnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
    if (isMidnight) return days.format(date);
    return (step >= 60 ? hours : seconds).format(date);
  });
}

const FONT = '12px system-ui, sans-serif';
const LEAST_WIDTH = 62; // of the values' axis, so that charts of small numbers stand in line
const pen = document.createElement('canvas').getContext('2d');

/** How wide an axis with these labels is. */
function widthOf(labels) {
  pen.font = FONT;
  return Math.max(LEAST_WIDTH, ...labels.map((label) => Math.ceil(pen.measureText(label).width) + 12));
}

/** Where a sorted column has a number, or the next larger one. */
function placeOf(column, number) {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The places of the readings with a gap on both sides, which no line shows. */
function lonely({ data, series }, index) {
  const column = data[index];
  const [first, last] = series[0].idxs;
  const found = [];
  let alone = -1;
  let isOpen = false; // behind a reading
  for (let place = first; place <= last; place += 1) {
    if (column[place] === null) {
      if (alone >= 0) found.push(alone);
      alone = -1;
      isOpen = false;
    } else if (column[place] !== undefined) { // which is of another line
      alone = isOpen ? -1 : place;
      isOpen = true;
    }
  }
  if (alone >= 0) found.push(alone);
  return found;
}

/** The axis of the values on one side, in the unit of its lines. */
function valueAxis(base, scale, side, { symbol, isBool }) {
  const unitOf = (low, high) => scaleOf(symbol, Math.max(Math.abs(low), Math.abs(high)));
  const numbers = {
    // Round numbers in the unit that the labels have, such as half days.
    incrs: (plot, index, low, high) => STEPS.map((step) => step * unitOf(low, high)[0]),
    splits: (plot, index, low, high, step) => multiples(low, high, step),
    values: (plot, splits, index, space, step) => {
      const { min, max } = plot.scales[scale];
      const [divisor, unit] = unitOf(min, max);
      const places = placesFor(step / divisor);
      const isShort = unit !== '' && unit.length <= 5;
      return splits.map((split, place) => (place === splits.length - 1 && isShort
        ? `${rounded(split / divisor, places)} ${unit}` : rounded(split / divisor, places)));
    },
  };
  const words = {
    splits: () => [0, 1],
    values: () => ['off', 'on'],
  };
  return {
    ...base,
    scale,
    side,
    grid: { ...base.grid, show: side === LEFT },
    size: (plot, labels) => widthOf(labels ?? []),
    gap: 6,
    ...(isBool ? words : numbers),
  };
}

const [RIGHT, LEFT] = [1, 3]; // as uPlot counts the sides

/**
 * A chart in an element.
 *
 * Lines are { symbol, axis, color, shape, isBool, hasBand, isPale, dash }: the unit, `left` or
 * `right`, the name of a CSS variable with #rrggbb, `line`, `step` or `points`. Each has columns
 * [seconds, value, low, high]; null is a gap. `onCursor(second)` is called when someone points at a
 * place, with null when they leave; `onZoom(from_ms, to_ms)` when they mark a span, `onReset()` when
 * they double-click. Charts with the same `key` show their cursors at the same time.
 */
export class Chart {
  constructor(place, { lines, key, onCursor, onZoom, onReset }) {
    this.place = place;
    this.key = key ?? null;
    this.onCursor = onCursor;
    this.onZoom = onZoom;
    this.onReset = onReset;
    this.marks = [];
    this.span = null;
    this.plot = null;
    this.events = new AbortController();
    const { signal } = this.events;
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.rebuild(), { signal });
    this.observer = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.observer.observe(place);
    this.setLines(lines);
  }

  /** Forget the chart; its element can take another one. */
  destroy() {
    this.events.abort();
    this.observer.disconnect();
    this.plot.destroy();
  }

  /** Draw other lines; they have no points yet. */
  setLines(lines) {
    this.lines = lines;
    this.columns = lines.map(() => [[], [], [], []]);
    this.rebuild();
  }

  size() {
    return { width: this.place.clientWidth, height: this.place.clientHeight };
  }

  /** How many points are worth asking for. */
  get points() {
    return Math.max(200, Math.min(2000, Math.round(this.place.clientWidth * POINTS_PER_PIXEL)));
  }

  /** What the lines of one side have in common, null if there are none. */
  side(name) {
    const lines = this.lines.filter((line) => (line.axis ?? 'left') === name);
    if (lines.length === 0) return null;
    const symbols = new Set(lines.map((line) => line.symbol));
    return {
      symbol: symbols.size === 1 ? lines[0].symbol : '',
      isBool: lines.every((line) => line.isBool),
    };
  }

  rebuild() {
    this.plot?.destroy();
    const axis = {
      stroke: color('--muted'), font: FONT, grid: { stroke: color('--grid'), width: 1 }, ticks: { show: false },
    };
    const sides = [['left', LEFT], ['right', RIGHT]].map(([name, side]) => [name, side, this.side(name)])
      .filter(([,, lines]) => lines);
    const series = [{}];
    const bands = [];
    for (const line of this.lines) {
      const scale = line.axis ?? 'left';
      const stroke = color(line.color) + (line.isPale ? PALE : '');
      const isPoints = line.shape === 'points';
      series.push({
        scale,
        stroke,
        width: 1.6,
        spanGaps: false,
        dash: line.dash,
        paths: isPoints ? () => null : line.shape === 'step'
          ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
        points: {
          size: 4,
          fill: stroke,
          width: 0,
          filter: (plot, index, show) => (show ? null : lonely(plot, index)),
          ...(isPoints ? { show: true } : {}),
        },
      });
      if (line.hasBand) {
        const edge = { scale, stroke: null, width: 0, points: { show: false } };
        series.push(edge, edge);
        bands.push({ series: [series.length - 1, series.length - 2], fill: color(line.color) + BAND });
      }
    }
    this.plot = new uPlot({
      ...this.size(),
      padding: [10, sides.some(([name]) => name === 'right') ? 0 : 20, 0, 0],
      scales: {
        x: { time: true },
        ...Object.fromEntries(sides.map(([name,, { isBool }]) => [name, isBool ? { range: [-0.1, 1.1] } : {}])),
      },
      axes: [
        { ...axis, values: timeLabels, space: 64, size: 32 },
        ...sides.map(([name, side, lines]) => valueAxis(axis, name, side, lines)),
      ],
      series,
      bands,
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: { size: 7, width: 0, fill: (plot, place) => plot.series[place].stroke(plot, place) },
        sync: { key: this.key, setSeries: false },
        bind: {
          dblclick: () => () => { this.onReset(); },
          // With the shift key it is moved instead, see gestures.js.
          mousedown: (plot, target, handler) => (event) => (event.shiftKey ? null : handler(event)),
        },
      },
      hooks: {
        setCursor: [(plot) => {
          const { left } = plot.cursor;
          this.onCursor(left === undefined || left < 0 ? null : plot.posToVal(left, 'x'));
        }],
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          const from = plot.posToVal(left, 'x') * 1000;
          const to = plot.posToVal(left + width, 'x') * 1000;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          this.onZoom(Math.floor(from), Math.ceil(to));
        }],
        draw: [(plot) => this.drawMarks(plot)],
      },
    }, this.joined(), this.place);
    this.render();
  }

  drawMarks({ ctx, bbox, ...plot }) {
    if (this.marks.length === 0) return;
    ctx.save();
    ctx.strokeStyle = color('--muted');
    ctx.fillStyle = color('--muted');
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { time_ms } of this.marks) {
      const x = Math.round(plot.valToPos(time_ms / 1000, 'x', true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const half = 4 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - half, bbox.top);
      ctx.lineTo(x + half, bbox.top);
      ctx.lineTo(x, bbox.top + 2 * half);
      ctx.fill();
    }
    ctx.restore();
  }

  /** The columns of all lines over one column of times. */
  joined() {
    const tables = this.lines.map((line, place) => this.columns[place].slice(0, line.hasBand ? 4 : 2));
    if (tables.length === 0) return [[]];
    return tables.length === 1 ? tables[0] : uPlot.join(tables);
  }

  /** What a line has next to a time: { second, value, low, high }, null where it has a gap. */
  at(second, line = 0) {
    const [times, values, lows, highs] = this.columns[line];
    let place = placeOf(times, second);
    if (place > 0 && (place === times.length || second - times[place - 1] < times[place] - second)) place -= 1;
    const value = values[place];
    if (value === null || value === undefined) return null;
    return { second: times[place], value, low: lows[place], high: highs[place] };
  }

  /** What the chart says at a time, null where a line has nothing. */
  readout(second, line = 0) {
    const point = second === null ? null : this.at(second, line);
    return point && `${full.format(new Date(point.second * 1000))}: ${describe(point, this.lines[line])}`;
  }

  /** Show these columns of each line from one time to another, in ms. */
  show(columns, from_ms, to_ms) {
    this.columns = columns;
    this.isChanged = true;
    this.move(from_ms, to_ms);
  }

  /** Show another span of the same points. */
  move(from_ms, to_ms) {
    this.span = { min: from_ms / 1000, max: to_ms / 1000 };
    this.render();
  }

  /** Add one reading to a line; false if it has a later one. */
  add(time_ms, reading, gap_ms, line = 0) {
    const [times, ...rest] = this.columns[line];
    const second = time_ms / 1000;
    const last = times.at(-1);
    if (last !== undefined && second <= last) return false;
    if (last !== undefined && time_ms - last * 1000 > gap_ms) {
      times.push((last + second) / 2);
      for (const column of rest) column.push(null);
    }
    times.push(second);
    for (const column of rest) column.push(reading);
    this.isChanged = true;
    return true;
  }

  /** Forget what lies before a time; the chart does not grow for ever. */
  forget(before_ms) {
    for (const columns of this.columns) {
      const count = placeOf(columns[0], before_ms / 1000);
      if (count <= 200) continue;
      for (const column of columns) column.splice(0, count);
      this.isChanged = true;
    }
  }

  render() {
    if (!this.span) return;
    this.plot.batch(() => {
      if (this.isChanged) this.plot.setData(this.joined(), false);
      this.plot.setScale('x', this.span);
    });
    this.isChanged = false;
  }
}

/** A point in words, with its unit and, where it stands for several readings, their lowest and highest. */
export function describe({ value, low, high }, { symbol, isBool }) {
  if (isBool && (value === 0 || value === 1)) return value ? 'on' : 'off';
  const [divisor, unit] = scaleOf(symbol, Math.max(Math.abs(low), Math.abs(high)));
  const text = (given) => {
    const scaled = given / divisor;
    const size = Math.floor(Math.log10(Math.abs(scaled) || 1));
    return rounded(scaled, Number.isInteger(scaled) ? 0 : Math.max(0, Math.min(4, 3 - size)));
  };
  const spread = low === high ? '' : `, from ${text(low)} to ${text(high)}`;
  return `${text(value)}${unit && ` ${unit}`}${spread}`;
}
