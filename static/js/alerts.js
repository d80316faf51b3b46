// The page of alerts: what fires now, what people do about it, rules and contacts.

import { connect } from './live.js';
import { request, toast } from './request.js';
import { showFrame, span, when } from './view.js';
import { installRules } from './alert_rules.js';
import { installPush } from './push.js';
import { button, command as send, keepFocus, row, severity, tell, words } from './alert_parts.js';

const root = document.getElementById('alerts');
const isOperator = Number(root.dataset.role) >= 2;
const first = document.querySelector('.rules')?.dataset.component;
let version = -1;
let shown = { alerts: [], maintenance: [] };
let days = 7;
const isWhole = { now: false, past: false }; // whether all of a long list is shown

const MOST = 30; // items of a list, until somebody asks for all

const byId = (id) => document.getElementById(id);

const command = (pressed, path, body, name) => send(pressed, path, body, refresh, name);

/** The first items of a list; the button below it shows the rest. */
function beginning(all, name, again) {
  const more = byId(`${name}-more`);
  more.hidden = isWhole[name] || all.length <= MOST;
  more.textContent = `Show all ${all.length}`;
  more.onclick = () => {
    isWhole[name] = true;
    again();
  };
  return more.hidden ? all : all.slice(0, MOST);
}

function showNow() {
  const place = byId('now');
  if (!place) return;
  keepFocus(place, () => place.replaceChildren(
    ...beginning(shown.alerts, 'now', showNow).map((it) => row(it, isOperator, command)),
  ));
  byId('all-well').hidden = shown.alerts.length > 0;
  const all = byId('all');
  if (all) all.hidden = shown.alerts.filter(({ state }) => state === 'firing').length < 2;
  tell();
}

function showUpkeep() {
  const place = byId('upkeep');
  if (!place) return;
  place.replaceChildren(...shown.maintenance.map((it) => {
    const item = document.createElement('li');
    const what = document.createElement('span');
    what.className = 'what';
    const name = it.of === 'all' ? 'Everything' : `${it.of === 'codifier' ? 'Component' : it.of === 'host' ? 'Node' : 'Area'} ${it.name}`;
    what.textContent = `${name}, until ${when(it.until)}`;
    const end = button('End', `End the maintenance: ${name}`, (pressed) => command(
      pressed, 'alerts/maintenance', { component: it.component, of: it.of, name: it.name, seconds: 0 },
    ));
    item.append(what, end);
    return item;
  }));
}

async function refresh() {
  if (!byId('now')) return;
  try {
    shown = await request('alerts/now');
    version = shown.version;
    showNow();
    showUpkeep();
  } catch (error) {
    toast(error.message, true);
  }
}

async function showPast() {
  const note = byId('past-note');
  if (!note) return;
  try {
    const { alerts } = await request(`alerts/past?days=${days}`);
    byId('past-table').hidden = alerts.length === 0;
    note.hidden = alerts.length > 0;
    note.textContent = 'No alert fired in this time.';
    byId('past').replaceChildren(...beginning(alerts, 'past', showPast).map((alert) => {
      const line = document.createElement('tr');
      const cells = [when(alert.fired), alert.ended === null ? 'lasts' : span(Math.max(2_000, alert.ended - alert.fired)), words(alert)];
      for (const text of cells) {
        const cell = document.createElement('td');
        cell.textContent = text;
        line.append(cell);
      }
      const last = document.createElement('td');
      last.append(severity(alert.severity));
      line.append(last);
      return line;
    }));
  } catch (error) {
    note.hidden = false;
    note.textContent = error.message;
  }
}

for (const range of document.querySelectorAll('[data-days]')) {
  range.addEventListener('click', () => {
    days = Number(range.dataset.days);
    for (const each of document.querySelectorAll('[data-days]')) {
      each.setAttribute('aria-pressed', String(each === range));
    }
    showPast();
  });
}

byId('maintain')?.addEventListener('submit', (event) => {
  event.preventDefault();
  const [of, ...name] = byId('maintain-what').value.split(':');
  command(event.submitter ?? event.target, 'alerts/maintenance', {
    component: first,
    of,
    name: name.join(':'),
    seconds: Number(byId('maintain-for').value),
  });
});

byId('all')?.addEventListener('click', async ({ currentTarget: pressed }) => {
  const components = new Set(shown.alerts.map((it) => it.component));
  for (const component of components) {
    await command(pressed, 'alerts/attend', { component, id: 0, action: 'acknowledge' });
  }
});

byId('add-component')?.addEventListener('click', async (event) => {
  try {
    const { outcome } = await request('alerts/component', { method: 'POST', body: {} });
    toast(outcome);
  } catch (error) {
    toast(error.message, true);
  }
  event.target.blur();
});

for (const pressed of document.querySelectorAll('[data-test]')) {
  const { component } = pressed.closest('.contacts').dataset;
  pressed.addEventListener('click', () => command(
    pressed, 'alerts/test', { component, contact: pressed.dataset.test },
  ));
}

connect((frame) => {
  const { alerts } = frame;
  showFrame(frame);
  if (alerts && alerts.version !== version) {
    version = alerts.version;
    refresh().then(showPast);
  }
}, first ? { codifier: first } : { cards: 1 });
setInterval(tell, 1_000);
refresh();
showPast();
installRules();
installPush();
