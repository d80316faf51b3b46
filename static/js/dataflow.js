// The editor of graphs: inputs, the join and outputs in columns, wires between, values on them.
// Everything is asked for again every second; what somebody is typing is left alone.

import { ROOT } from './live.js';
import { element, icon, svgElement } from './elements.js';
import { localNumber } from './numbers.js';
import { request, toast } from './request.js';

const EVERY_MS = 1_000;
const CLIENT = 'jph'; // of graphs that are made here
const STARTS = {
  idf: 'def run(x):\n    return x\n',
  odf: 'def run(x):\n    return x\n',
};
const TITLES = { idf: 'Inputs', join: 'Join', odf: 'Outputs' };

const $ = (id) => document.getElementById(id);
const editor = $('editor');
const flow = $('flow');
const isAdmin = editor.dataset.role === 'admin';
const base = `settings/gateways/${encodeURIComponent(editor.dataset.gateway)}/graphs`;

let state = { devices: [], graphs: [] };
let chosen = new URLSearchParams(location.search).get('graph') ?? '';
let shape = ''; // what the columns were made of
let timer = 0;
let asking = 0; // the number of the last question: earlier answers come too late

const graph = () => state.graphs.find((it) => it.key === chosen);
const keyOf = (device, kind, name) => `${kind} ${device} ${name}`;
const idOf = (text) => `n-${[...new TextEncoder().encode(text)].map((byte) => byte.toString(16)).join('')}`;

/** What people call a device and its feature. */
function namesOf(id, name) {
  const device = state.devices.find((it) => it.id === id);
  const known = device?.names?.[name];
  return { device: device?.name ?? id.slice(0, 8), feature: known ? `${known} (${name})` : name, found: device };
}

/** A value in few characters. */
function words(values) {
  if (values === null || values === undefined) return 'none yet';
  const list = Array.isArray(values) && values.length === 1 ? values[0] : values;
  if (typeof list === 'number') return localNumber(String(list));
  const text = JSON.stringify(list);
  return text.length > 60 ? `${text.slice(0, 59)}\u2026` : text;
}

// Changes

async function change(body, done) {
  const { client, name } = graph() ?? {};
  try {
    await request(`${base}/change`, { method: 'POST', body: { client, graph: name, ...body } });
    if (done) toast(done);
    return true;
  } catch (error) {
    toast(error.message, true);
    return false;
  } finally {
    await look();
  }
}

/** A button; where it has gone after its work, what `next` names has the focus. */
const button = (text, onClick, attributes = {}, next = 'graph') => {
  const made = element('button', { type: 'button', class: 'action', ...attributes }, text);
  made.addEventListener('click', async () => {
    made.disabled = true;
    await onClick(made);
    made.disabled = false;
    if (document.activeElement !== document.body) return; // somebody went on meanwhile
    const place = [made, attributes.id, next, 'graph'].map((it) => (typeof it === 'string' ? $(it) : it)).find((it) => it?.isConnected);
    place?.focus();
  });
  return made;
};

// The columns

/** The text of a function, to be changed by an admin. */
function functionOf(kind, at, use, key, title) {
  const source = use ? (graph().functions[use[0]] ?? '') : '';
  const id = idOf(key);
  const part = element('details', { id: `${id}-function` });
  part.append(element('summary', { id: `${id}-summary` }, use ? 'Function' : (isAdmin ? 'Add a function' : 'No function')));
  if (!isAdmin) {
    if (source) part.append(element('pre', { tabindex: '0', 'aria-label': `Function of ${title}` }, source));
    return part;
  }
  const text = element('textarea', {
    id: `${id}-source`, spellcheck: 'false', autocomplete: 'off', 'aria-label': `Function of ${title}, Python that defines run`,
  });
  text.value = source || STARTS[kind] || startOfJoin();
  text.defaultValue = text.value;
  const give = async (content, done) => {
    const before = text.defaultValue;
    text.defaultValue = text.value; // as saved: the columns may be made anew
    if (!await change({ at, source: content }, done)) text.defaultValue = before;
  };
  const buttons = element('div', { class: 'buttons' }, button('Save', () => give(text.value, 'The function is saved.'), { id: `${id}-save`, class: 'action main', 'aria-label': `Save the function of ${title}` }));
  if (use) buttons.append(button('Take it out', () => { text.value = ''; return give('', 'The function is out.'); }, { 'aria-label': `Take the function of ${title} out` }, `${id}-summary`));
  part.append(text, buttons);
  return part;
}

/** A join of as many values as there are inputs. */
function startOfJoin() {
  const count = Math.max(1, Math.min(26, graph().links.filter((link) => link.kind === 'idf').length));
  const names = [...'abcdefghijklmnopqrstuvwxyz'.slice(0, count)];
  return `def run(${names.join(', ')}):\n    return ${names.join(' + ')}\n`;
}

const facts = (...pairs) => element('dl', {}, ...pairs.flatMap(([word, live]) => [element('dt', {}, word), element('dd', { 'data-live': live }, 'none yet')]));

function linkCard(link) {
  const { device, name, kind, use } = link;
  const key = keyOf(device, kind, name);
  const names = namesOf(device, name);
  const title = `${names.device}: ${names.feature}`;
  const made = element('article', { class: 'card', id: idOf(key), 'data-key': key });
  made.append(
    element('h3', {}, element('bdi', {}, names.device), ' \u00b7 ', element('bdi', {}, names.feature)),
    element('p', { class: 'state', 'data-live': 'online' }),
    kind === 'idf' ? facts(['sends', 'values'], ['goes on', 'slot']) : facts(['gets', 'values']),
    element('p', { class: 'wrong', 'data-live': 'wrong' }),
    functionOf(kind, { [kind]: name, da_id: device }, use, key, title),
  );
  if (isAdmin) {
    made.append(button('Remove', () => change({ request: { op: 'rm_link', da_id: device, [kind]: name } }, `${title} is out.`), { 'aria-label': `Remove ${title}` }, `add-${kind}-button`));
  }
  return made;
}

function joinCard(join) {
  const made = element('article', { class: 'card', id: idOf('join'), 'data-key': 'join' });
  made.append(
    element('h3', {}, join ? 'All inputs, joined' : 'All inputs, as they are'),
    facts(['goes on', 'joined']),
    element('p', { class: 'wrong', 'data-live': 'wrong' }),
    functionOf('join', { join: true }, join, 'join', 'the join'),
  );
  return made;
}

/** The features that a graph could have, by device. */
function adder(kind) {
  const used = new Set(graph().links.map((it) => keyOf(it.device, it.kind, it.name)));
  const select = element('select', { id: `add-${kind}` });
  for (const device of state.devices) {
    const free = device[`${kind}_list`].map(([name]) => name).filter((name) => !used.has(keyOf(device.id, kind, name)));
    if (!free.length) continue;
    const group = element('optgroup', { label: device.is_bus ? `${device.name} (the bus)` : device.name });
    for (const name of free) group.append(element('option', { value: JSON.stringify([device.id, name]) }, namesOf(device.id, name).feature));
    select.append(group);
  }
  if (!select.options.length) return element('p', { class: 'quiet' }, `No other ${kind === 'idf' ? 'input' : 'output'} feature is known.`);
  const word = kind === 'idf' ? 'Add an input' : 'Add an output';
  const add = () => {
    const [id, name] = JSON.parse(select.value);
    return change({ request: { op: 'add_link', da_id: id, [kind]: name } }, `${namesOf(id, name).feature} is in.`);
  };
  return element('div', { class: 'add' }, element('label', {}, word, select), button('Add', add, { id: `add-${kind}-button`, 'aria-label': word }));
}

function stage(kind, cards) {
  const made = element('section', { class: 'stage', 'data-stage': kind, 'aria-label': TITLES[kind] });
  if (kind !== 'join') made.append(element('h2', {}, TITLES[kind]));
  made.append(...cards);
  if (isAdmin && kind !== 'join') made.append(adder(kind));
  return made;
}

/** Tell whether somebody types a function that is not saved. */
const isDirty = () => [...flow.querySelectorAll('textarea')].some((it) => it.value !== it.defaultValue);

function build() {
  const it = graph();
  const made = it ? JSON.stringify([it.key, it.links, it.join, it.functions, state.devices.map(({ id, name, idf_list: idf, odf_list: odf, names }) => [id, name, idf, odf, names])]) : '';
  if (made === shape || (shape && it && isDirty() && shape.startsWith(JSON.stringify([it.key]).slice(0, -1)))) return;
  shape = made;
  const focused = document.activeElement?.id;
  const opened = new Set([...flow.querySelectorAll('details[open]')].map((each) => each.id));
  flow.hidden = !it;
  if (!it) { flow.replaceChildren(); return; }
  const cards = (kind) => it.links.filter((link) => link.kind === kind).map(linkCard);
  flow.replaceChildren(
    svgElement('svg', { 'aria-hidden': 'true' }),
    stage('idf', cards('idf')),
    stage('join', [joinCard(it.join)]),
    stage('odf', cards('odf')),
  );
  for (const details of flow.querySelectorAll('details')) {
    details.open = opened.has(details.id);
    details.addEventListener('toggle', draw);
  }
  if (focused) document.getElementById(focused)?.focus();
}

// What changes all the time

function put(card, live, text) {
  const place = card.querySelector(`[data-live="${live}"]`);
  if (place && place.textContent !== text) place.textContent = text;
  return place;
}

function fill() {
  const it = graph();
  if (!it) return;
  const last = it.last ?? { idf: [], odf: [], join: null };
  for (const link of it.links) {
    const card = document.getElementById(idOf(keyOf(link.device, link.kind, link.name)));
    if (!card) continue;
    const known = last[link.kind].find((one) => one.da_id === link.device && one.feature === link.name);
    put(card, 'values', words(known?.values));
    if (link.kind === 'idf') put(card, 'slot', words(known?.slot));
    const { found } = namesOf(link.device, link.name);
    const text = found?.online ? 'online' : (found ? 'offline' : 'not registered');
    const place = card.querySelector('[data-live="online"]');
    if (place.dataset.text !== text) {
      place.dataset.text = text;
      place.classList.toggle('is-offline', text !== 'online');
      place.replaceChildren(icon(text === 'online' ? 'active' : 'unseen'), ` ${text}`);
    }
    wrong(card, link.use, (error) => isAt(error, link));
  }
  const join = document.getElementById(idOf('join'));
  if (join) {
    put(join, 'joined', words(last.join));
    wrong(join, it.join, ({ where }) => where === 'join');
  }
}

/** Say at a place why its function is off, or what went wrong last; it is marked while it goes on. */
function wrong(card, use, isHere) {
  const why = use && graph().off?.[use[0]];
  const [error] = (graph().errors ?? []).filter(isHere).sort((a, b) => b.time_ms - a.time_ms);
  put(card, 'wrong', why ? `Off: ${why}` : (error ? `Last error: ${error.text}` : ''));
  const seen = Number(card.dataset.errors ?? 0);
  card.dataset.errors = error?.count ?? 0;
  card.classList.toggle('is-wrong', Boolean(why) || (error?.count ?? 0) > seen);
}

function errors() {
  const it = graph();
  const listed = it?.errors ?? [];
  const notes = listed.map((one) => {
    const times = one.count > 1 ? ` (${localNumber(String(one.count))} times)` : '';
    const row = element('li', { 'data-key': `${one.where} ${one.digest}` }, element('span', {}, element('b', {}, placeOf(one)), `: ${one.text}${times}`));
    if (one.off && isAdmin) {
      row.append(button('Switch it on again', () => change({ resume: one.digest }, 'The function is on again.'), {}, one.da_id ? `${idOf(keyOf(one.da_id, one.kind, one.feature))}-summary` : `${idOf('join')}-summary`));
    }
    return row;
  });
  if (it?.dropped) notes.push(element('li', { 'data-key': 'dropped' }, `${localNumber(String(it.dropped))} values came faster than the functions and were dropped.`));
  const list = document.querySelector('#errors ul');
  const text = notes.map((row) => row.textContent).join('\n');
  $('errors').hidden = !notes.length;
  if (list.dataset.text === text) return; // else a button would lose the focus
  list.dataset.text = text;
  list.replaceChildren(...notes);
}

/** Tell whether an error is one of a link. */
const isAt = (error, link) => error.da_id === link.device && error.kind === link.kind && error.feature === link.name;

/** The place of an error in words. */
function placeOf(error) {
  const link = graph().links.find((it) => isAt(error, it));
  if (!link) return error.where === 'join' ? 'The join' : error.where;
  const names = namesOf(link.device, link.name);
  return `${names.device}: ${names.feature}`;
}

// The wires

function draw() {
  const drawing = flow.querySelector('svg');
  if (!drawing || flow.hidden) return;
  const origin = flow.getBoundingClientRect();
  const box = (card) => {
    const { left, right, top, height } = card.getBoundingClientRect();
    return { left: left - origin.left, right: right - origin.left, y: top - origin.top + Math.min(height / 2, 32) };
  };
  const join = document.getElementById(idOf('join'));
  const middle = box(join);
  const wires = [];
  for (const card of flow.querySelectorAll('.stage:not([data-stage="join"]) > .card')) {
    const isInput = card.parentElement.dataset.stage === 'idf';
    const [from, to] = isInput ? [box(card), middle] : [middle, box(card)];
    const half = (from.right + to.left) / 2;
    const state_ = card.classList.contains('is-wrong') || join.classList.contains('is-wrong') ? 'is-wrong' : card.querySelector('.is-offline') ? 'is-off' : '';
    const path = `M${from.right} ${from.y}C${half} ${from.y} ${half} ${to.y} ${to.left} ${to.y}`;
    const live = card.querySelector(isInput ? '[data-live="slot"]' : '[data-live="values"]').textContent;
    wires.push(svgElement('path', { class: `wire ${state_}`, d: path }));
    if (live !== 'none yet') {
      wires.push(svgElement('text', { class: 'wire-value', x: half, y: (from.y + to.y) / 2 - 5, 'text-anchor': 'middle' }, live.length > 9 ? `${live.slice(0, 8)}\u2026` : live));
    }
  }
  drawing.replaceChildren(...wires);
}

// All of it

function show() {
  const select = $('graph');
  if (!graph()) chosen = state.graphs[0]?.key ?? '';
  const options = state.graphs.map((it) => [it.key, it.client === CLIENT ? it.name : `${it.client}: ${it.name}`]);
  if (JSON.stringify(options) !== select.dataset.options) {
    select.dataset.options = JSON.stringify(options);
    select.replaceChildren(...options.map(([key, text]) => element('option', { value: key }, text)));
  }
  select.value = chosen;
  select.disabled = !options.length;
  $('nothing').hidden = options.length > 0;
  if ($('remove-graph')) $('remove-graph').hidden = !graph();
  build();
  fill();
  errors();
  draw();
}

async function look() {
  clearTimeout(timer);
  const number = asking += 1;
  const problem = $('problem');
  try {
    const answer = await request(`${base}/now`);
    if (number !== asking) return;
    state = answer;
    problem.hidden = true;
    show();
  } catch (error) {
    if (number !== asking) return;
    problem.textContent = error.message;
    problem.hidden = false;
  }
  editor.removeAttribute('aria-busy');
  timer = setTimeout(look, document.hidden ? 10 * EVERY_MS : EVERY_MS);
}

function choose(key) {
  chosen = key;
  shape = '';
  history.replaceState(null, '', `${ROOT}${base}?${new URLSearchParams({ graph: key })}`);
  show();
}

$('graph').addEventListener('change', (event) => {
  if (isDirty() && !confirm('A function is not saved. Leave this graph?')) {
    event.target.value = chosen;
    return;
  }
  choose(event.target.value);
});

$('new-graph')?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { name } = event.target.elements;
  const body = { client: CLIENT, graph: name.value, request: { op: 'attach' } };
  if (!await change(body, `${name.value} is there.`)) return;
  const made = state.graphs.find((it) => it.client === CLIENT && it.name === name.value);
  name.value = '';
  if (made) choose(made.key);
  document.getElementById('add-idf')?.focus();
});

$('remove-graph')?.addEventListener('click', async () => {
  if (confirm(`Remove the graph ${graph().name}, with its functions?`)) {
    await change({ request: { op: 'detach' } }, 'The graph is removed.');
    ($('graph').disabled ? $('new-graph').elements.name : $('graph')).focus();
  }
});

document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
addEventListener('resize', draw);
addEventListener('beforeunload', (event) => { if (isDirty()) event.preventDefault(); });
look();
