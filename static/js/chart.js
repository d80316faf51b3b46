// The history of one component as a uPlot chart that goes on living.

const POINTS_PER_PIXEL = 1;
const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BYTES = new Set(['B', 'B/s', 'bit', 'bit/s']);
const PREFIXED = new Set([...BYTES, 'Hz', 'W', 'Wh', 'VA', 'H/s']);
const DURATIONS = [[86_400, 'd'], [3_600, 'h'], [60, 'min']];
const DAY_S = 86_400;

const hours = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const seconds = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const days = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
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

const number = (value, places) => value.toLocaleString('en', {
  minimumFractionDigits: places, maximumFractionDigits: places,
}).replaceAll(',', '\u202f').replace('-', '\u2212');

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

/**
 * A chart in an element.
 *
 * Columns are [seconds, value, low, high]; null is a gap. `onCursor(text)` is called when someone
 * points at a place, with null when they leave; `onZoom(from_ms, to_ms)` when they mark a span,
 * `onReset()` when they double-click.
 */
export class Chart {
  constructor(place, { symbol, isSteps, onCursor, onZoom, onReset }) {
    this.place = place;
    this.symbol = symbol;
    this.isSteps = isSteps;
    this.onCursor = onCursor;
    this.onZoom = onZoom;
    this.onReset = onReset;
    this.columns = [[], [], [], []];
    this.span = null;
    this.plot = null;
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.rebuild());
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(place);
    this.rebuild();
  }

  size() {
    return { width: this.place.clientWidth, height: this.place.clientHeight };
  }

  /** How many points are worth asking for. */
  get points() {
    return Math.max(200, Math.min(2000, Math.round(this.place.clientWidth * POINTS_PER_PIXEL)));
  }

  rebuild() {
    this.plot?.destroy();
    const text = color('--muted');
    const line = color('--curve');
    const grid = { stroke: color('--grid'), width: 1 };
    const axis = { stroke: text, font: FONT, grid, ticks: { show: false } };
    const steps = this.isSteps ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
    const edge = { stroke: null, width: 0, points: { show: false } };
    this.plot = new uPlot({
      ...this.size(),
      padding: [10, 20, 0, 0],
      scales: { x: { time: true }, y: this.isSteps ? { range: [-0.1, 1.1] } : {} },
      axes: [
        { ...axis, values: timeLabels, space: 64, size: 32 },
        {
          ...axis,
          size: (plot, labels) => widthOf(labels ?? []),
          gap: 6,
          // Round numbers in the unit that the labels have, such as half days.
          incrs: (plot, index, low, high) => {
            const [divisor] = scaleOf(this.symbol, Math.max(Math.abs(low), Math.abs(high)));
            return STEPS.map((step) => step * divisor);
          },
          splits: (plot, index, low, high, step) => multiples(low, high, step),
          values: (plot, splits, index, space, step) => {
            const { min, max } = plot.scales.y;
            const [divisor, unit] = scaleOf(this.symbol, Math.max(Math.abs(min), Math.abs(max)));
            const places = placesFor(step / divisor);
            const isShort = unit !== '' && unit.length <= 5;
            return splits.map((split, place) => (place === splits.length - 1 && isShort
              ? `${number(split / divisor, places)} ${unit}` : number(split / divisor, places)));
          },
        },
      ],
      series: [
        {},
        { stroke: line, width: 1.6, spanGaps: false, ...steps, points: { size: 4, fill: line, width: 0 } },
        edge,
        edge,
      ],
      bands: [{ series: [3, 2], fill: color('--band') }],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: { size: 7, width: 0, fill: line },
        bind: { dblclick: () => () => { this.onReset(); } },
      },
      hooks: {
        setCursor: [(plot) => this.onCursor(this.readout(plot.cursor.idx))],
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          const from = plot.posToVal(left, 'x') * 1000;
          const to = plot.posToVal(left + width, 'x') * 1000;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          this.onZoom(Math.floor(from), Math.ceil(to));
        }],
      },
    }, this.columns, this.place);
    this.render();
  }

  /** What the chart says at one of its points, null where there is none. */
  readout(index) {
    const [second, value, low, high] = this.columns.map((column) => column[index ?? -1]);
    if (value === null || value === undefined) return null;
    const [divisor, unit] = scaleOf(this.symbol, Math.max(Math.abs(low), Math.abs(high)));
    const text = (given) => {
      const scaled = given / divisor;
      const size = Math.floor(Math.log10(Math.abs(scaled) || 1));
      return number(scaled, Number.isInteger(scaled) ? 0 : Math.max(0, Math.min(4, 3 - size)));
    };
    const spread = low === high ? '' : `, from ${text(low)} to ${text(high)}`;
    return `${full.format(new Date(second * 1000))}: ${text(value)}${unit && ` ${unit}`}${spread}`;
  }

  /** Show these columns from one time to another, in ms. */
  show(columns, from_ms, to_ms) {
    this.columns = columns;
    this.span = { min: from_ms / 1000, max: to_ms / 1000 };
    this.render();
  }

  /** Move on to the present. */
  move(from_ms, to_ms) {
    this.span = { min: from_ms / 1000, max: to_ms / 1000 };
    this.render();
  }

  /** Add one reading; false if the chart has a later one. */
  add(time_ms, reading, gap_ms) {
    const [times, ...rest] = this.columns;
    const second = time_ms / 1000;
    const last = times.at(-1);
    if (last !== undefined && second <= last) return false;
    if (last !== undefined && time_ms - last * 1000 > gap_ms) {
      times.push((last + second) / 2);
      for (const column of rest) column.push(null);
    }
    times.push(second);
    for (const column of rest) column.push(reading);
    return true;
  }

  /** Forget what lies before a time; the chart does not grow for ever. */
  forget(before_ms) {
    const [times] = this.columns;
    let count = 0;
    while (count < times.length && times[count] * 1000 < before_ms) count += 1;
    if (count > 200) for (const column of this.columns) column.splice(0, count);
  }

  render() {
    if (!this.span) return;
    this.plot.batch(() => {
      this.plot.setData(this.columns, false);
      this.plot.setScale('x', this.span);
    });
  }
}
