// The table of all components: columns, order and filter are a person's choice, and in the address.

import { connect, serverNow } from './live.js';
import { exact, localNumber } from './numbers.js';
import { put, showFrame, span, when, WORDS } from './view.js';

const SHOW_MS = 1_000; // numbers that change faster cannot be read
const SORT_MS = 5_000;
const KEY = 'jph-table-columns';
const LIVE_KEYS = new Set(['Text', 'Heard', 'Value', 'State']);

const table = document.getElementById('table');
const head = table.tHead.rows[0];
const body = table.tBodies[0];
const search = document.getElementById('search');
const states = document.getElementById('state');
const boxes = [...document.querySelectorAll('#columns input')];
const columns = new Map(boxes.map(({ value, dataset }) => [value, dataset]));
const usual = boxes.filter(({ dataset }) => dataset.usual !== undefined).map(({ value }) => value);
const byText = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' }).compare;

const rows = new Map(); // Codifier -> its row
for (const [index, element] of [...body.rows].entries()) {
  const { dataset } = element;
  rows.set(dataset.codifier, {
    element,
    index,
    cells: new Map(),
    fields: {
      Codifier: dataset.codifier,
      Name: dataset.name,
      Type: dataset.type,
      Host: dataset.host,
      Area: dataset.area,
      Labels: dataset.labels,
      ShortName: dataset.shortName,
    },
  });
}

// Choices: { columns, sort, descends, q, state }

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

function fromAddress() {
  const query = new URLSearchParams(location.search);
  const wanted = (query.get('columns') ?? '').split(',').filter((key) => columns.has(key));
  const sort = query.get('sort') ?? '';
  return {
    columns: wanted.length ? wanted : usual,
    sort: columns.has(sort) ? sort : '',
    descends: query.get('down') === '1',
    q: query.get('q') ?? '',
    state: query.get('state') ?? '',
  };
}

let now = fromAddress();
if (!location.search) {
  const before = remembered().filter((key) => columns.has(key));
  if (before.length) now.columns = before;
}

const isUsual = () => now.columns.join() === usual.join();

function toAddress(method) {
  const query = new URLSearchParams();
  if (!isUsual()) query.set('columns', now.columns.join());
  if (now.sort) query.set('sort', now.sort);
  if (now.sort && now.descends) query.set('down', '1');
  if (now.q) query.set('q', now.q);
  if (now.state) query.set('state', now.state);
  const text = query.toString();
  const address = location.pathname + (text && `?${text}`);
  if (address !== location.pathname + location.search) history[method](null, '', address);
}

function set(changes, isPassing = false) {
  now = { ...now, ...changes };
  toAddress(isPassing ? 'replaceState' : 'pushState');
  if ('columns' in changes) {
    try {
      if (isUsual()) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, JSON.stringify(now.columns));
    } catch { /* not allowed: the address has it */ }
  }
  show();
}

addEventListener('popstate', () => {
  now = fromAddress();
  show();
});

// Cells

function textOf(key, fields) {
  const value = fields[key];
  if (value === null || value === undefined || value === '') return '';
  const { kind } = columns.get(key);
  if (key === 'State') return WORDS[value];
  if (kind === 'time') return when(value);
  if (kind === 'ago') return span(serverNow() - value);
  if (kind === 'yes') return value ? 'yes' : 'no';
  if (key === 'Text' && typeof fields.Value === 'number') return localNumber(value);
  if (typeof value === 'number') return exact(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function render(row) {
  for (const [key, cell] of row.cells) put(cell, textOf(key, row.fields));
  if (row.element.dataset.state !== row.fields.State) row.element.dataset.state = row.fields.State ?? '';
}

function build(row) {
  const [first] = row.element.cells;
  row.cells.clear();
  const cells = now.columns.filter((key) => key !== 'Name').map((key) => {
    const cell = document.createElement('td');
    const { kind } = columns.get(key);
    if (kind === 'number' || kind === 'ago') cell.className = 'number';
    row.cells.set(key, cell);
    return cell;
  });
  row.element.replaceChildren(first, ...cells);
  render(row);
}

function heading(key) {
  const cell = document.createElement('th');
  const { title, kind } = columns.get(key);
  cell.scope = 'col';
  cell.dataset.key = key;
  const isSorted = now.sort === key;
  if (isSorted) cell.ariaSort = now.descends ? 'descending' : 'ascending';
  if (kind === 'number' || kind === 'ago') cell.className = 'number';
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'plain';
  button.textContent = title;
  button.addEventListener('click', () => {
    const isAgain = now.sort === key;
    if (isAgain && now.descends) set({ sort: '', descends: false });
    else set({ sort: key, descends: isAgain });
    head.querySelector(`[data-key="${key}"] button`)?.focus();
  });
  cell.append(button);
  return cell;
}

// Order and filter

function numberOf(key, fields) {
  const value = key === 'Text' ? fields.Value : fields[key];
  const inner = value !== null && typeof value === 'object' ? value.value : value;
  return typeof inner === 'number' ? inner : NaN;
}

/** Numbers before texts, and what is not known last, upwards and downwards. */
function compare(key, one, other, way) {
  if (columns.get(key).kind !== 'text') {
    const [first, second] = [numberOf(key, one.fields), numberOf(key, other.fields)];
    if (!Number.isNaN(first) && !Number.isNaN(second)) return way * (first - second);
    if (Number.isNaN(first) !== Number.isNaN(second)) return Number.isNaN(first) ? 1 : -1;
  }
  const [first, second] = [textOf(key, one.fields), textOf(key, other.fields)];
  if (!first !== !second) return first ? -1 : 1;
  return way * byText(first, second);
}

function sorted() {
  const words = now.q.trim().toLowerCase().split(/\s+/);
  const shown = [...rows.values()].filter((row) => {
    if (now.state && row.fields.State !== now.state) return false;
    if (!now.q.trim()) return true;
    const text = ['Name', ...now.columns].map((key) => textOf(key, row.fields)).join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const way = now.descends ? -1 : 1;
  return shown.sort((one, other) => (now.sort ? compare(now.sort, one, other, way) : 0)
    || one.index - other.index);
}

function arrange() {
  const shown = sorted();
  const wanted = new Set(shown.map(({ element }) => element));
  for (const element of [...body.rows]) if (!wanted.has(element)) element.remove();
  shown.forEach(({ element }, at) => {
    if (body.rows[at] !== element) body.insertBefore(element, body.rows[at] ?? null);
  });
  put(document.getElementById('count'), `${shown.length} of ${rows.size}`);
  document.getElementById('nothing').hidden = shown.length > 0;
  const query = new URLSearchParams({ columns: now.columns.join() });
  if (shown.length < rows.size || now.sort) {
    query.set('only', shown.map(({ fields }) => fields.Codifier).join(''));
  }
  for (const form of ['csv', 'json']) {
    const link = document.getElementById(form);
    link.href = `${new URL(link.href).pathname}?${query}`;
  }
}

function show() {
  if (!now.columns.includes('Name')) now.columns = ['Name', ...now.columns];
  for (const box of boxes) box.checked = now.columns.includes(box.value);
  if (search.value.trim() !== now.q.trim()) search.value = now.q;
  states.value = now.state;
  head.replaceChildren(...['Name', ...now.columns.filter((key) => key !== 'Name')].map(heading));
  for (const row of rows.values()) build(row);
  arrange();
}

// Only rows on the screen are filled in anew.
const dirty = new Set();
const visible = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const row = rows.get(target.dataset.codifier);
    if (isIntersecting) {
      visible.add(row);
      render(row);
    } else {
      visible.delete(row);
    }
  }
}, { rootMargin: '200px' });
for (const { element } of rows.values()) watcher.observe(element);

search.addEventListener('input', () => set({ q: search.value }, true));
states.addEventListener('change', () => set({ state: states.value }));
document.getElementById('columns').addEventListener('change', () => {
  set({ columns: boxes.filter(({ checked }) => checked).map(({ value }) => value) });
});
document.getElementById('usual-columns').addEventListener('click', () => set({ columns: usual }));
document.addEventListener('click', ({ target }) => {
  if (!target.closest('#columns')) document.getElementById('columns').open = false;
});
document.addEventListener('keydown', (event) => {
  const choice = document.getElementById('columns');
  if (event.key === 'Escape' && choice.open) {
    choice.open = false;
    choice.querySelector('summary').focus();
  }
});

let isFirst = true;
connect((frame) => {
  for (const [codifier, fields] of Object.entries(frame.components)) {
    const row = rows.get(codifier);
    if (!row) continue;
    delete fields.points;
    Object.assign(row.fields, fields);
    dirty.add(row);
  }
  showFrame(frame);
  if (isFirst) {
    isFirst = false;
    for (const row of visible) render(row);
    arrange();
  }
});
setInterval(() => {
  for (const row of visible) if (dirty.has(row) || row.cells.has('Heard')) render(row);
  dirty.clear();
}, SHOW_MS);
setInterval(() => {
  if (document.hidden || table.contains(document.activeElement)) return;
  if (now.state || now.q || (now.sort && (LIVE_KEYS.has(now.sort) || columns.get(now.sort).kind !== 'text'))) arrange();
}, SORT_MS);

toAddress('replaceState');
show();
