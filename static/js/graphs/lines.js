// The list of lines below the charts: what each has at the cursor, and how it is drawn.

import { ROOT } from '../live.js';
import { put } from '../view.js';
import { COLORS, FIELDS, MOST_LINES, RESOLUTIONS, SHAPES, SMOOTHINGS, newLine } from './address.js';
import { colorOf, isDashed } from './stage.js';

const WORDS = {
  value: 'value', mean: 'mean', median: 'median', mode: 'mode', max: 'highest', min: 'lowest', stdev: 'standard deviation',
};
const SPREADS = ['automatic', '10 minutes', 'an hour'];
const SHAPE_WORDS = ['linear', 'steps', 'points'];
const SMOOTHING_WORDS = ['none', 'a little', 'more', 'much'];
const COLOR_WORDS = ['blue', 'vermilion', 'green', 'pink', 'ochre', 'light blue', 'violet', 'grey'];

/** Read the sensors that can be added from the page: Codifier -> name, symbol, type. */
export function readCatalog(datalist) {
  const catalog = new Map();
  for (const { value, dataset } of datalist.options) {
    catalog.set(value.slice(0, 2), {
      name: dataset.name || value.slice(0, 2),
      symbol: dataset.symbol,
      isBool: dataset.type === 'bool',
      isText: dataset.type === 'string',
      isKnown: true,
    });
  }
  return catalog;
}

/** Find the one sensor that somebody means: by the entry of the list, its Codifier or its name. */
export function find(catalog, text) {
  const typed = text.trim();
  for (const [codifier, { name }] of catalog) {
    if (typed === codifier || typed === `${codifier} ${name}`.trim()) return codifier;
  }
  const alike = [...catalog].filter(([, { name }]) => name.toLowerCase().includes(typed.toLowerCase()));
  const same = alike.filter(([, { name }]) => name.toLowerCase() === typed.toLowerCase());
  if (same.length === 1) return same[0][0];
  return alike.length === 1 ? alike[0][0] : null;
}

function select(label, values, words, chosen, onChange) {
  const field = document.createElement('label');
  field.textContent = label;
  const list = document.createElement('select');
  values.forEach((value, place) => {
    list.add(new Option(words[place], value, false, String(value) === String(chosen)));
  });
  list.addEventListener('change', () => onChange(list.value));
  field.append(list);
  return field;
}

export class Lines {
  constructor(place, infoOf, onChange) {
    this.place = place;
    this.infoOf = infoOf;
    this.onChange = onChange;
    this.rows = [];
  }

  /** List the lines of a graph. */
  show(lines) {
    const open = new Set(this.rows.filter(({ details }) => details.open).map(({ line }) => line));
    this.lines = lines;
    this.rows = lines.map((line, place) => this.row(line, place, open.has(line)));
    this.place.replaceChildren(...this.rows.map(({ item }) => item));
  }

  row(line, place, isOpen) {
    const info = this.infoOf(line.codifier);
    const item = document.createElement('li');
    item.className = 'line';
    item.dataset.codifier = line.codifier;
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.borderColor = `var(${colorOf(line, place)})`;
    swatch.toggleAttribute('data-dashed', isDashed(line, place));
    const name = document.createElement('span');
    name.className = 'name';
    const link = document.createElement('a');
    link.href = `${ROOT}component/${encodeURIComponent(line.codifier)}`;
    const text = document.createElement('bdi');
    text.textContent = info.name;
    link.append(text);
    const code = document.createElement('code');
    code.textContent = line.codifier;
    const field = document.createElement('span');
    field.className = 'quiet';
    field.textContent = this.fieldWords(line, info);
    name.append(link, ' ', code, ' ', field);
    const readout = document.createElement('span');
    readout.className = 'readout';
    const now = document.createElement('span');
    const earlier = document.createElement('span');
    earlier.className = 'earlier';
    readout.append(now, ' ', earlier);
    const remark = document.createElement('span');
    remark.className = 'remark';
    remark.hidden = true;
    const details = document.createElement('details');
    details.open = isOpen;
    const summary = document.createElement('summary');
    summary.textContent = 'Change';
    summary.setAttribute('aria-label', `Change the line of ${info.name}`);
    details.append(summary, this.options(line, place, info));
    const remove = document.createElement('button');
    remove.type = 'button';
    remove.className = 'plain';
    remove.textContent = 'Remove';
    remove.setAttribute('aria-label', `Remove the line of ${info.name}`);
    remove.addEventListener('click', () => {
      this.onChange(this.lines.filter((other) => other !== line));
      document.getElementById('add').focus();
    });
    item.append(swatch, name, readout, details, remove, remark);
    return { line, item, now, earlier, remark, details };
  }

  fieldWords(line, info) {
    if (info.isText) return '';
    const words = line.field === 'value' && !line.resolution ? [] : [WORDS[line.field]];
    if (line.resolution) words.push(`of ${SPREADS[RESOLUTIONS.indexOf(line.resolution)]}`);
    return words.join(' ');
  }

  options(line, place, info) {
    const box = document.createElement('div');
    box.className = 'options';
    const set = (name, convert = String) => (value) => {
      line[name] = convert(value);
      this.onChange(this.lines);
      this.rows[place].details.querySelector(`[data-option=${name}] select`)?.focus();
    };
    const add = (name, ...rest) => {
      const field = select(...rest);
      field.dataset.option = name;
      box.append(field);
    };
    const shown = line.shape || (info.isBool ? 'step' : 'line');
    if (!info.isText) {
      add('field', 'Field', FIELDS, Object.values(WORDS), line.field, set('field'));
      add('resolution', 'Resolution', RESOLUTIONS, SPREADS, line.resolution, set('resolution'));
      add('axis', 'Axis', ['', 'left', 'right'], ['by unit', 'left', 'right'], line.axis, set('axis'));
      add('shape', 'Drawn as', SHAPES, SHAPE_WORDS, shown, set('shape'));
      add('smoothing', 'Smoothing', SMOOTHINGS, SMOOTHING_WORDS, line.smoothing, set('smoothing', Number));
      add('band', 'Lowest to highest', ['yes', ''], ['as a band', 'not shown'], line.band ? 'yes' : '', set('band', Boolean));
      const numbers = [0, ...Array.from({ length: COLORS }, (_, number) => number + 1)];
      add('color', 'Colour', numbers, ['automatic', ...COLOR_WORDS], line.color, set('color', Number));
    }
    return box;
  }

  /** Show what each line has at the cursor: [now, earlier]. */
  read(readouts) {
    readouts.forEach(([now, earlier], place) => {
      const row = this.rows[place];
      if (!row) return;
      put(row.now, now ?? '');
      put(row.earlier, earlier === null ? '' : `before: ${earlier}`);
    });
  }

  /** Say what is wrong with single lines. */
  remark(answers) {
    this.rows.forEach(({ remark }, place) => {
      const answer = answers[place];
      const isEmpty = answer?.columns ? answer.columns[0].length === 0 : answer?.texts?.length === 0;
      put(remark, answer?.error ?? (isEmpty ? 'No readings in this span.' : ''));
      remark.hidden = remark.textContent === '';
    });
  }

  /** Lines with one more; null if that is not possible. */
  with(codifier) {
    return this.lines.length < MOST_LINES ? [...this.lines, newLine(codifier)] : null;
  }
}
