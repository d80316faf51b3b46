// The page of alerts: what fires now, what people do about it, rules and contacts.

import { ROOT, connect, serverNow } from './live.js';
import { request, toast } from './request.js';
import { span, when } from './view.js';
import { installRules } from './alert_rules.js';
import { installPush } from './push.js';
import { WAITS, severity } from './alert_parts.js';

const root = document.getElementById('alerts');
const isOperator = Number(root.dataset.role) >= 2;
const first = document.querySelector('.rules')?.dataset.component;
let version = -1;
let shown = { alerts: [], maintenance: [] };
let days = 7;

const byId = (id) => document.getElementById(id);

function button(text, label, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'action';
  made.textContent = text;
  made.setAttribute('aria-label', label);
  made.addEventListener('click', () => act(made));
  return made;
}

/** Send a command, say what became of it, and show the alerts as they are then. */
async function command(pressed, path, body) {
  pressed.setAttribute('aria-busy', 'true');
  try {
    const { done, outcome } = await request(path, { method: 'POST', body });
    toast(`${outcome}.`.replace(/\.\.$/, '.'), !done);
  } catch (error) {
    toast(error.message, true);
  } finally {
    pressed.removeAttribute('aria-busy');
  }
  await refresh();
}

function actions(alert) {
  const place = document.createElement('span');
  place.className = 'buttons';
  const { component, id, state, text } = alert;
  const attend = (pressed, action, seconds = 0) => command(
    pressed, 'alerts/attend', { component, id, action, seconds },
  );
  if (state === 'firing' || state === 'snoozed' || state === 'maintained') {
    place.append(button('Acknowledge', `Acknowledge: ${text}`, (it) => attend(it, 'acknowledge')));
  }
  if (state === 'firing' || state === 'acknowledged') {
    const wait = document.createElement('select');
    wait.setAttribute('aria-label', `Snooze: ${text}`);
    wait.append(new Option('Snooze …', ''), ...WAITS.map(([seconds, word]) => new Option(word, seconds)));
    wait.addEventListener('change', () => {
      if (wait.value) attend(wait, 'snooze', Number(wait.value));
    });
    place.append(wait);
  }
  if (state === 'acknowledged' || state === 'snoozed') {
    place.append(button('Reopen', `Reopen: ${text}`, (it) => attend(it, 'reopen')));
  }
  return place;
}

function row(alert) {
  const item = document.createElement('li');
  item.dataset.state = alert.state;
  item.dataset.id = `${alert.component}-${alert.id}`;
  const what = document.createElement('span');
  what.className = 'what';
  const strong = document.createElement('strong');
  if (alert.isComponent) {
    const link = document.createElement('a');
    link.href = `${ROOT}component/${encodeURIComponent(alert.subject)}`;
    link.textContent = alert.text;
    strong.append(link);
  } else {
    strong.textContent = alert.text;
  }
  const quiet = document.createElement('span');
  quiet.className = 'quiet';
  quiet.dataset.since = alert.since;
  quiet.dataset.words = [
    alert.word,
    alert.state === 'snoozed' ? `until ${when(alert.until)}` : '',
    alert.rule,
  ].filter(Boolean).join(' · ');
  what.append(severity(alert.severity), ' ', strong, quiet);
  item.append(what);
  if (isOperator && alert.state !== 'pending') item.append(actions(alert));
  return item;
}

function tick() {
  for (const quiet of document.querySelectorAll('#now [data-since]')) {
    const since = Number(quiet.dataset.since);
    quiet.textContent = `${quiet.dataset.words} · since ${when(since)}, ${span(serverNow() - since)}`;
  }
}

function showNow() {
  const place = byId('now');
  if (!place) return;
  const focused = document.activeElement?.closest?.('#now li')?.dataset.id;
  const label = document.activeElement?.getAttribute?.('aria-label');
  place.replaceChildren(...shown.alerts.map(row));
  byId('all-well').hidden = shown.alerts.length > 0;
  tick();
  if (focused) {
    const same = [...place.children].find((item) => item.dataset.id === focused);
    const fields = [...(same?.querySelectorAll('button, select') ?? [])];
    (fields.find((it) => it.getAttribute('aria-label') === label) ?? fields[0])?.focus();
  }
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
    byId('past').replaceChildren(...alerts.map((alert) => {
      const line = document.createElement('tr');
      const cells = [when(alert.fired), alert.ended === null ? 'lasts' : span(Math.max(2_000, alert.ended - alert.fired)), alert.text];
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

connect(({ alerts }) => {
  if (alerts && alerts.version !== version) {
    version = alerts.version;
    refresh().then(showPast);
  }
}, first ? { codifier: first } : { cards: 1 });
setInterval(tick, 1_000);
refresh();
showPast();
installRules();
installPush();
