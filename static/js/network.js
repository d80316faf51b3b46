// The page of the network: asks the server every few seconds and shows what it says.

import { element, icon } from './elements.js';
import { ROOT, setNow } from './live.js';
import { inSentence, localNumber, rounded } from './numbers.js';
import { request, toast } from './request.js';
import { Troubles } from './troubles.js';
import { put, span, when, WORDS } from './view.js';

const EVERY_MS = 3_000;
const MOST_COMPONENTS = 24; // of a node, before somebody asks for the others

const troubles = new Troubles(document.getElementById('troubles'));
const opened = new Set(); // nodes of which all components are shown
let last = null;

const milliseconds = (ms) => `${rounded(ms, ms < 10 ? 1 : 0)} ms`;

function bytes(count) {
  let size = count;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (size < 1000 || unit === 'GB') return `${rounded(size, size < 10 && unit !== 'B' ? 1 : 0)} ${unit}`;
    size /= 1000;
  }
  return '';
}

function clockOf({ offset_ms: offset, offset_error_ms: error }) {
  if (offset === null) return null;
  const size = Math.abs(offset);
  const sign = { '-1': '\u2212', 1: '+' }[Math.sign(Math.round(offset))] ?? '';
  const text = size >= 1000 ? `${rounded(size / 1000, 1)} s` : `${rounded(size)} ms`;
  return `${sign}${text} \u00b1 ${rounded(Math.ceil(error))} ms`;
}

function lostOf({ lost, received }) {
  if (!lost) return '0';
  return `${rounded(lost)} (${rounded((100 * lost) / (lost + received), 2)} %)`;
}

/** One thing with a title and facts; facts that are null are left out. */
function block(key, state, title, notes, facts, more) {
  const heading = element('h3', {}, icon(state), ' ', title);
  const list = element('dl', { class: 'measures' });
  for (const [word, value] of facts) {
    if (value === null || value === undefined) continue;
    list.append(element('div', {}, element('dt', {}, word), element('dd', {}, String(value))));
  }
  const naming = element('div', { class: 'naming' }, heading, ...notes);
  return element('article', { class: 'node', 'data-key': key, 'data-state': state }, naming, list, ...more);
}

/** Put blocks in the place of those with the same key that look different. */
function update(place, blocks) {
  const before = new Map([...place.children].map((child) => [child.dataset.key, child]));
  const kept = blocks.map((made) => {
    const known = before.get(made.dataset.key);
    return known?.isEqualNode(made) ? known : made;
  });
  const focused = document.activeElement;
  const link = place.contains(focused) ? focused.getAttribute('href') ?? focused.dataset.key : null;
  kept.forEach((child, at) => {
    if (place.children[at] !== child) place.insertBefore(child, place.children[at] ?? null);
  });
  while (place.children.length > kept.length) place.lastElementChild.remove();
  if (link && !place.contains(focused)) {
    [...place.querySelectorAll('a, button')]
      .find((other) => (other.getAttribute('href') ?? other.dataset.key) === link)
      ?.focus({ preventScroll: true });
  }
}

const linkTo = (codifier, text) => element(
  'a',
  { href: `${ROOT}component/${encodeURIComponent(codifier)}` },
  text,
);

function componentsOf({ name, components }) {
  const list = element('ul', { class: 'members', role: 'list' });
  // Those that are not well come first, and all of them are shown.
  const order = { silent: 0, failing: 1, halted: 2, unseen: 3, active: 4 };
  const sorted = [...components].sort((one, other) => order[one.state] - order[other.state]);
  const isDead = sorted.length > 1 && sorted.every(({ state }) => state !== 'active');
  const bad = isDead ? 0 : sorted.filter(({ state }) => state !== 'active').length;
  const most = opened.has(name) ? sorted.length : Math.max(MOST_COMPONENTS, bad);
  for (const { codifier, name: title, state } of sorted.slice(0, most)) {
    const link = linkTo(codifier, codifier);
    link.title = `${title}: ${WORDS[state]}`;
    const word = element('span', { class: 'unseen-text' }, ` ${WORDS[state]}`);
    list.append(element('li', { 'data-state': state }, icon(state), link, word));
  }
  if (sorted.length > most) {
    const attributes = { type: 'button', class: 'plain', 'data-key': `more ${name}` };
    const more = element('button', attributes, `and ${sorted.length - most} more`);
    more.addEventListener('click', () => {
      opened.add(name);
      show(last);
    });
    list.append(element('li', {}, more));
  }
  return list;
}

const STATES = {
  active: 'Well', failing: 'Not all well', silent: 'Dead', unseen: 'Never heard',
};

function nodeBlock(node, now) {
  const { name, state, processes, components } = node;
  const status = element('span', { class: 'status' }, STATES[state]);
  const notes = [status];
  if (state === 'silent') notes.push(element('span', { class: 'quiet' }, `for ${span(now - node.since)}, since ${when(node.since)}`));
  const count = processes.filter(({ address }) => address).length;
  const where = processes.map(({ address, is_here: isHere }) => (
    address && `${address}${isHere ? ' (this server)' : ''}`)).filter(Boolean).join(', ');
  return block(name, state, name || 'Never heard, and without a Host', notes, [
    ['Round trip', node.round_trip_ms === null ? null : milliseconds(node.round_trip_ms)],
    ['Clock', clockOf(node)],
    ['Lost', lostOf(node)],
    ['Duplicates', rounded(node.duplicates)],
    ['Restarts', rounded(node.restarts)],
    ['Last heard', state === 'silent' || node.heard === null ? null : span(now - node.heard)],
    [count === 1 ? 'Process' : 'Processes', where || null],
    ['Components', rounded(components.length)],
  ], [componentsOf(node)]);
}

function storeBlock(store, now) {
  const state = store.fault ? 'failing' : store.state;
  const notes = [element('span', { class: 'status' }, store.fault ? store.meaning : WORDS[store.state])];
  if (store.fault) {
    notes.push(element('span', { class: 'quiet' }, `for ${span(now - store.since)}, since ${when(store.since)}: ${store.fault}`));
  }
  const count = (value) => (value ? rounded(value) : null);
  return block(store.codifier, state, linkTo(store.codifier, store.name), notes, [
    ['Per minute', typeof store.per_minute === 'number' ? rounded(store.per_minute) : null],
    ['Waiting in memory', typeof store.waiting === 'number' ? rounded(store.waiting) : null],
    ['Waiting in the spool', store.type === 'HistoryWriter' ? rounded(store.spooled ?? 0) : null],
    ['Lost', count(store.dropped)],
    ['With impossible times', count(store.quarantined)],
    ['A power cut costs', store.power_cut_s === null ? null : `${rounded(store.power_cut_s)} s at most`],
  ], []);
}

function showServer(server) {
  const facts = [
    ['Bus', server.joined ? `joined on ${server.interface}` : 'not joined'],
    ['Messages', `${rounded(server.messages_per_minute)} per minute`],
    ['Dropped by the kernel', rounded(server.kernel_drops)],
    ['Invalid datagrams', rounded(server.refused)],
    ['Not sent', rounded(server.unsent)],
    ['Receive buffer', bytes(server.receive_buffer_bytes)],
    ['Readings left out, since others took too long', rounded(server.overruns)],
    ['Written to disk', writtenOf(server)],
    ['Memory', server.memory_mb === null ? 'not known' : `${rounded(server.memory_mb)} MB`],
    ['Pages that get live values', rounded(server.pages_open)],
    ['Runs for', span(server.uptime_s * 1000)],
  ];
  const place = document.getElementById('server');
  facts.forEach(([word, value], at) => {
    let line = place.children[at];
    if (!line) {
      line = element('div', {}, element('dt', {}, word), element('dd'));
      place.append(line);
    }
    put(line.lastElementChild, value);
  });
}

const writtenOf = ({ written_per_day: perDay, watched_s: watched }) => (
  perDay === null ? 'not known yet' : `${bytes(perDay)} per day, from ${span(watched * 1000)}`
);

/** What the processes beside this server tell of themselves; null where they have no place for it. */
function showProcesses(processes, now) {
  const none = document.getElementById('no-processes');
  none.hidden = processes !== null && processes.length > 0;
  put(none, processes === null ? 'They cannot tell this server of themselves: this machine has no folder in memory.' : 'None.');
  update(document.getElementById('processes'), (processes ?? []).map((it) => {
    const list = element('ul', { class: 'members', role: 'list' }, ...it.components.map(({ codifier, name }) => {
      const link = linkTo(codifier, codifier);
      link.title = name;
      return element('li', {}, link);
    }));
    return block(`process ${it.pid}`, 'active', `Process ${it.pid}`, [], [
      ['Written to disk', writtenOf(it)],
      ['Runs for', span(now - it.began)],
      ['Components', rounded(it.components.length)],
    ], [list]);
  }));
}

function showStandby(standby, now) {
  document.getElementById('no-standby').hidden = standby.length > 0;
  document.getElementById('standby').replaceChildren(...standby.map((it) => element(
    'li',
    {},
    linkTo(it.codifier, it.name),
    ` waits for ${span(now - it.since)}: another instance is at work on ${it.address}`,
  )));
}

const SENDS = {
  float: 'numbers', integer: 'whole numbers', string: 'text', json: 'objects',
};

function showStrangers(strangers, now) {
  const table = document.getElementById('stranger-table');
  table.hidden = strangers.length === 0;
  document.getElementById('no-strangers').hidden = strangers.length > 0;
  const rows = strangers.map((it) => {
    const row = element(
      'tr',
      { 'data-key': it.codifier },
      element('td', {}, element('code', {}, it.codifier)),
      element('td', {}, it.kind ? SENDS[it.kind] : 'signs of life'),
      element('td', {}, it.kind === 'string' ? it.text : localNumber(it.text)),
      element('td', {}, it.every_s === null ? '' : `every ${rounded(it.every_s, it.every_s < 10 ? 1 : 0)} s`),
      element('td', {}, it.ip),
      element('td', {}, `${span(now - it.since)} ago`),
      element('td', {}, span(now - it.heard)),
    );
    const last = element('td');
    if (it.accept) {
      const label = `Add ${it.codifier} to the configuration`;
      last.append(element('a', { href: it.accept, 'aria-label': label }, 'Add'));
    }
    row.append(last);
    return row;
  });
  update(table.tBodies[0], rows);
}

function show(shown) {
  last = shown;
  const { now } = shown;
  const verdict = document.getElementById('verdict');
  const state = shown.is_well ? 'active' : 'silent';
  if (verdict.dataset.state !== state) {
    verdict.dataset.state = state;
    verdict.querySelector('use').setAttribute('href', `#i-${state}`);
  }
  // Those with numbers that were measured; a number in another one is a part of a name.
  const inWords = (text) => (shown.measured.includes(text) ? inSentence(text) : text);
  put(document.getElementById('sentence'), inWords(shown.sentence));
  const complaints = document.getElementById('complaints');
  const others = shown.complaints.slice(1).map(inWords);
  complaints.hidden = others.length === 0;
  if ([...complaints.children].map(({ textContent }) => textContent).join('\n') !== others.join('\n')) {
    complaints.replaceChildren(...others.map((text) => element('li', {}, text)));
  }
  troubles.show(shown.troubles);
  const order = { silent: 0, failing: 1, active: 2, unseen: 3 };
  update(document.getElementById('nodes'), [...shown.nodes]
    .sort((one, other) => order[one.state] - order[other.state])
    .map((node) => nodeBlock(node, now)));
  document.getElementById('stores-panel').hidden = shown.stores.length === 0;
  update(document.getElementById('stores'), shown.stores.map((store) => storeBlock(store, now)));
  showServer(shown.server);
  showStandby(shown.standby, now);
  showProcesses(shown.processes, now);
  showStrangers(shown.strangers, now);
}

// Asking goes on for ever, and rests while nobody looks.

const label = document.getElementById('connection');

function tell(state, text) {
  label.dataset.connection = state;
  put(label.lastElementChild, text);
  document.body.classList.toggle('is-stale', state === 'lost');
}

async function look() {
  try {
    const shown = await request('network/state');
    setNow(shown.now);
    tell('live', 'Live');
    show(shown);
  } catch (error) {
    tell('lost', 'Reconnecting');
  }
}

async function goOn() {
  if (!document.hidden) await look();
  setTimeout(goOn, EVERY_MS);
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
goOn();

document.getElementById('ping-all')?.addEventListener('click', async ({ currentTarget: button }) => {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    const { outcome, silent } = await request('network/ping', { method: 'POST', body: {} });
    const shown = silent.slice(0, 8).join(', ');
    const more = silent.length > 8 ? ` and ${silent.length - 8} more` : '';
    toast(silent.length ? `${outcome}; not ${shown}${more}.` : `${outcome}.`, silent.length > 0);
    await look();
  } catch (error) {
    toast(error.message, true);
  } finally {
    button.removeAttribute('aria-busy');
  }
});
