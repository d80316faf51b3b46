// What pages of alerts have in common: one alert as a row, and what people do about it.

import { ROOT, serverNow } from './live.js';
import { inSentence } from './numbers.js';
import { request, toast } from './request.js';
import { span, when } from './view.js';

// How long people snooze: [seconds, words].
const WAITS = [
  [900, 'for 15 minutes'], [3_600, 'for 1 hour'], [14_400, 'for 4 hours'],
  [43_200, 'for 12 hours'], [86_400, 'for 1 day'], [604_800, 'for 1 week'],
];

/** A severity as a word with its sign. */
export function severity(word) {
  const made = document.createElement('span');
  made.className = 'severity';
  made.dataset.severity = word;
  made.textContent = word;
  return made;
}

/** A button; the label says what it is about to a screen reader. */
export function button(text, label, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'action';
  made.textContent = text;
  made.setAttribute('aria-label', label);
  made.addEventListener('click', () => act(made));
  return made;
}

/** Send a command about something with a name, say what became of it, and go on. */
export async function command(pressed, path, body, after, name = '') {
  pressed.setAttribute('aria-busy', 'true');
  try {
    const { done, outcome } = await request(path, { method: 'POST', body });
    toast(inSentence(`${outcome}.`.replace(/\.\.$/, '.'), name), !done);
  } catch (error) {
    toast(error.message, true);
  } finally {
    pressed.removeAttribute('aria-busy');
  }
  await after();
}

function actions({ component, id, state, name }, text, send) {
  const place = document.createElement('span');
  place.className = 'buttons';
  const attend = (pressed, action, seconds = 0) => send(
    pressed, 'alerts/attend', { component, id, action, seconds }, name,
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

/** What an alert says. */
export const words = ({ text, name }) => inSentence(text, name);

/** An alert as an item of a list; `send(button, path, body, name)` sends its commands. */
export function row(alert, isOperator, send) {
  const text = words(alert);
  const item = document.createElement('li');
  item.dataset.state = alert.state;
  item.dataset.id = `${alert.component}-${alert.id}`;
  const what = document.createElement('span');
  what.className = 'what';
  const strong = document.createElement('strong');
  if (alert.isComponent) {
    const link = document.createElement('a');
    link.href = `${ROOT}component/${encodeURIComponent(alert.subject)}`;
    link.textContent = text;
    strong.append(link);
  } else {
    strong.textContent = text;
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
  if (isOperator && alert.state !== 'pending') item.append(actions(alert, text, send));
  return item;
}

/** Say of each row since when it is as it is. */
export function tell() {
  for (const quiet of document.querySelectorAll('.alert-list [data-since]')) {
    const since = Number(quiet.dataset.since);
    quiet.textContent = `${quiet.dataset.words} · since ${when(since)}, ${span(serverNow() - since)}`;
  }
}

/** Change the rows of a list; the focus stays with the alert that has it. */
export function keepFocus(place, change) {
  const focused = document.activeElement?.closest?.('li')?.dataset.id;
  const label = document.activeElement?.getAttribute?.('aria-label');
  const isInside = place.contains(document.activeElement);
  change();
  if (!isInside || !focused) return;
  const same = [...place.children].find((item) => item.dataset.id === focused);
  const fields = [...(same?.querySelectorAll('button, select') ?? [])];
  (fields.find((it) => it.getAttribute('aria-label') === label) ?? fields[0])?.focus();
}
