// Rules and contacts of alerts as forms, and a rule tried on the stored history.

import { Chart } from './chart.js';
import { inSentence } from './numbers.js';
import { request, toast } from './request.js';
import { when } from './view.js';

const LISTS = ['Sensors', 'Areas', 'Labels'];
const NUMBERS = ['Limit', 'Low', 'High', 'Within', 'Intervals', 'Hysteresis', 'For'];

const byId = (id) => document.getElementById(id);
const form = byId('rule');
for (const says of document.querySelectorAll('.rules [data-sentence]')) says.textContent = inSentence(says.textContent);
let component = '';
let old = null;
let others = {}; // keys of the rule that the form does not show
let chart = null;
let tried = null;
let asked = 0;

const chosen = (select) => [...select.selectedOptions].map((option) => option.value);

/** Show the fields that the chosen kind needs. */
function fit(of) {
  const kind = of.elements.Kind.value;
  for (const label of of.querySelectorAll('[data-kinds]')) {
    label.hidden = !label.dataset.kinds.split(' ').includes(kind);
  }
}

/** Show the mistakes below their fields, the others above the buttons. */
function blame(of, general, mistakes = {}, message = '') {
  let first = null;
  const rest = [];
  for (const place of of.querySelectorAll('[data-wrong]')) {
    const text = mistakes[place.dataset.wrong] ?? '';
    const isSeen = !place.closest('[hidden]:not([data-wrong])');
    place.hidden = text === '' || !isSeen;
    place.textContent = text;
    const field = of.elements[place.dataset.wrong];
    if (text && isSeen) {
      field?.setAttribute('aria-invalid', 'true');
      first ??= field;
    } else {
      field?.removeAttribute('aria-invalid');
    }
  }
  for (const [key, text] of Object.entries(mistakes)) {
    const place = of.querySelector(`[data-wrong="${CSS.escape(key)}"]`);
    if (!place || place.hidden) rest.push(key ? `${key}: ${text}` : text);
  }
  general.textContent = rest.join('; ') || (first ? '' : message);
  general.hidden = general.textContent === '';
  first?.focus();
}

function fill(rule) {
  form.reset();
  others = { ...rule };
  for (const field of form.elements) {
    if (!field.name) continue;
    const value = rule[field.name];
    delete others[field.name];
    if (LISTS.includes(field.name)) {
      for (const option of field.options) option.selected = (value ?? []).includes(option.value);
    } else if (field.name === 'Enabled') {
      field.checked = value ?? true;
    } else if (value !== undefined && value !== null) {
      field.value = value;
    }
  }
  for (const box of byId('rule-contacts').querySelectorAll('input')) {
    box.checked = (rule.Contacts ?? []).includes(box.value);
  }
  delete others.Contacts;
  fit(form);
  blame(form, byId('rule-wrong'));
}

function read() {
  const rule = { ...others };
  for (const field of form.elements) {
    if (!field.name || field.closest('[hidden]')) continue;
    if (LISTS.includes(field.name)) rule[field.name] = chosen(field);
    else if (field.name === 'Enabled') rule.Enabled = field.checked ? undefined : false;
    else if (NUMBERS.includes(field.name)) rule[field.name] = field.value === '' ? undefined : Number(field.value);
    else rule[field.name] = field.value.trim();
  }
  const boxes = [...byId('rule-contacts').querySelectorAll('input:checked')];
  if (boxes.length) rule.Contacts = boxes.map((box) => box.value);
  return rule;
}

function open(panel, rule) {
  component = panel.dataset.component;
  old = rule?.Name ?? null;
  byId('editor-title').textContent = old === null ? 'New rule' : `Rule ${old}`;
  const names = [...document.querySelectorAll(`.contacts[data-component="${CSS.escape(component)}"] strong`)];
  byId('rule-contacts').hidden = names.length < 2;
  byId('rule-contacts').querySelector('.checks').replaceChildren(...names.map((name) => {
    const label = document.createElement('label');
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.value = name.textContent;
    label.append(box, ` ${name.textContent}`);
    return label;
  }));
  fill(rule ?? {});
  if (byId('remove')) byId('remove').hidden = old === null;
  byId('trial').hidden = true;
  const editor = byId('rule-editor');
  editor.hidden = false;
  editor.scrollIntoView({ block: 'start' });
  form.elements.Name.focus();
}

/** Send a change, and show the page with it; mistakes stay in the form. */
async function change(path, body, of, general) {
  try {
    const { outcome, mistakes } = await request(path, { method: 'POST', body });
    if (mistakes) {
      blame(of, general, mistakes, outcome);
      return;
    }
    toast(outcome);
    setTimeout(() => location.reload(), 700);
  } catch (error) {
    blame(of, general, {}, error.message);
  }
}

/** The columns of a line that is there only while the rule fires. */
function firingColumns([times, values], firings, to) {
  let place = 0;
  const found = times.map((second, at) => {
    const ms = second * 1000;
    while (place < firings.length && (firings[place][1] ?? to) < ms) place += 1;
    return place < firings.length && ms >= firings[place][0] ? values[at] : null;
  });
  return [times, found];
}

async function showTrial() {
  const sensor = tried.sensors.find((it) => it.codifier === byId('trial-sensor').value) ?? tried.sensors[0];
  if (!sensor) return;
  const mine = ++asked;
  byId('trial-times').replaceChildren(...sensor.firings.map(([begin, end]) => {
    const line = document.createElement('tr');
    for (const text of [when(begin), end === null ? 'lasts' : when(end)]) {
      const cell = document.createElement('td');
      cell.textContent = text;
      line.append(cell);
    }
    return line;
  }));
  if (!globalThis.uPlot) return;
  const query = new URLSearchParams({ from: tried.from, to: tried.to, points: 2000 });
  const { t, v } = await request(`history/${encodeURIComponent(sensor.codifier)}?${query}`);
  if (mine !== asked) return;
  const seconds = t.map((ms) => ms / 1000);
  // A history that is younger than the time asked for fills the chart.
  const from = t.length ? Math.max(tried.from, t[0] - (tried.to - t[0]) / 50) : tried.from;
  const ends = [from / 1000, tried.to / 1000];
  const lines = [
    { symbol: sensor.unit, axis: 'left', color: '--curve', shape: 'line' },
    { symbol: sensor.unit, axis: 'left', color: '--silent', shape: 'line' },
    ...tried.limits.map(() => ({ symbol: sensor.unit, axis: 'left', color: '--muted', shape: 'line', dash: [6, 4] })),
  ];
  chart?.destroy();
  chart = new Chart(byId('trial-chart'), {
    lines,
    onCursor: (second) => { byId('trial-readout').textContent = chart?.readout(second) ?? ''; },
    onZoom: (begin, end) => chart.move(begin, end),
    onReset: () => chart.move(from, tried.to),
  });
  chart.marks = sensor.firings.map(([time_ms]) => ({ time_ms }));
  chart.show([
    [seconds, v],
    firingColumns([seconds, v], sensor.firings, tried.to),
    ...tried.limits.map((limit) => [ends, [limit, limit]]),
  ], from, tried.to);
}

async function tryIt(pressed) {
  pressed.setAttribute('aria-busy', 'true');
  byId('trial').hidden = false;
  byId('trial-words').textContent = 'Looking at the history …';
  byId('trial-note').textContent = '';
  try {
    const body = { component, rule: read(), days: Number(byId('try-days').value) };
    tried = await request('alerts/trial', { method: 'POST', body });
    blame(form, byId('rule-wrong'), tried.mistakes);
    if (tried.mistakes) {
      byId('trial').hidden = true;
      return;
    }
    byId('trial-words').textContent = inSentence(tried.words);
    byId('trial-note').textContent = [inSentence(tried.note), tried.noted ? `Nothing was noted before ${when(tried.noted)}.` : ''].filter(Boolean).join(' ');
    byId('trial-sensor').replaceChildren(...tried.sensors.map(
      (it) => new Option(`${it.name} (${it.count})`, it.codifier),
    ));
    byId('trial-pick').hidden = tried.sensors.length < 2;
    await showTrial();
  } catch (error) {
    byId('trial').hidden = true;
    blame(form, byId('rule-wrong'), {}, error.message);
  } finally {
    pressed.removeAttribute('aria-busy');
  }
}

function installContacts() {
  const contact = byId('contact');
  for (const panel of document.querySelectorAll('.contacts')) {
    panel.querySelector('[data-new]')?.addEventListener('click', () => {
      component = panel.dataset.component;
      contact.reset();
      fit(contact);
      blame(contact, byId('contact-wrong'));
      byId('contact-editor').hidden = false;
      byId('contact-editor').scrollIntoView({ block: 'start' });
      contact.elements.Name.focus();
    });
    for (const pressed of panel.querySelectorAll('[data-remove]')) {
      pressed.addEventListener('click', async () => {
        try {
          const body = { component: panel.dataset.component, name: pressed.dataset.remove };
          toast((await request('alerts/contacts/remove', { method: 'POST', body })).outcome);
          setTimeout(() => location.reload(), 700);
        } catch (error) {
          toast(error.message, true);
        }
      });
    }
  }
  if (!contact) return;
  contact.elements.Kind.addEventListener('change', () => fit(contact));
  byId('contact-cancel').addEventListener('click', () => {
    byId('contact-editor').hidden = true;
    document.querySelector('.contacts [data-new]').focus();
  });
  contact.addEventListener('submit', (event) => {
    event.preventDefault();
    const given = {};
    for (const field of contact.elements) {
      if (field.name && field.value && !field.closest('[hidden]')) given[field.name] = field.value.trim();
    }
    if (given.To) given.To = given.To.split(',').map((text) => text.trim()).filter(Boolean);
    change('alerts/contacts', { component, contact: given }, contact, byId('contact-wrong'));
  });
}

/** Let people edit rules and contacts, and try rules. */
export function installRules() {
  installContacts();
  if (!form) return;
  form.elements.Kind.addEventListener('change', () => fit(form));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!byId('remove')) return; // who may only try
    change('alerts/rules', { component, rule: read(), old }, form, byId('rule-wrong'));
  });
  byId('try')?.addEventListener('click', (event) => tryIt(event.currentTarget));
  byId('trial-sensor').addEventListener('change', showTrial);
  byId('remove')?.addEventListener('click', () => change(
    'alerts/rules/remove', { component, name: old }, form, byId('rule-wrong'),
  ));
  byId('cancel').addEventListener('click', () => {
    byId('rule-editor').hidden = true;
    document.querySelector('.rules [data-new], .rules [data-edit]')?.focus();
  });
  for (const panel of document.querySelectorAll('.rules')) {
    panel.querySelector('[data-new]')?.addEventListener('click', () => open(panel, null));
    for (const pressed of panel.querySelectorAll('[data-edit]')) {
      pressed.addEventListener('click', () => {
        open(panel, JSON.parse(pressed.closest('tr').dataset.rule));
      });
    }
  }
}
