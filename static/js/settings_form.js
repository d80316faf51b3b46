// The form of one component, or of another part of the configuration.

import { element } from './elements.js';
import { request, toast } from './request.js';
import { ROOT } from './live.js';
import { showFields, showMistakes } from './settings/fields.js';
import { debounced, save } from './settings/outcome.js';

const FIRST = ['Codifier', 'Name', 'Symbol', 'SensorInterval'];
const NEVER_READ = ['Proxy', 'External', 'ControlProgram', 'Web'];
const SIGNS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz';

const form = document.getElementById('entry');
const fields = document.getElementById('fields');
const note = document.getElementById('type-note');
const model = JSON.parse(form.dataset.model);
const { entry, taken = [], section = '' } = model;
let { codifier = '', base } = model;
let isChosen = codifier !== '' || document.querySelector('h1 code') !== null;
let isDirty = false;

/** Propose a Codifier of the letters of a name that nobody has. */
function proposed(name) {
  const words = name.toUpperCase().split(/[^A-Z0-9]+/).filter(Boolean);
  const letters = words.map((it) => it[0]).join('') + (words[0] ?? '').slice(1);
  const firsts = (letters[0] ?? 'S') + SIGNS;
  for (const first of firsts) {
    for (const second of letters.slice(1) + SIGNS) {
      if (!taken.includes(first + second)) return first + second;
    }
  }
  return '';
}

function onChange() {
  isDirty = true;
  check();
}

function draw() {
  const { schema } = model;
  if (section) showFields(fields, schema, entry, '', onChange);
  else drawComponent(schema);
}

function drawComponent(schema) {
  const own = schema.properties.Sensor;
  note.textContent = model.note;
  note.hidden = !model.note;
  const settings = typeof entry.Sensor === 'object' && entry.Sensor !== null ? entry.Sensor : {};
  showFields(fields, schema, entry, '', onChange, {
    first: FIRST.filter((it) => it !== 'SensorInterval' || !NEVER_READ.includes(entry.Type)),
    skip: ['Type', 'Sensor'],
  });
  if (Object.keys(own.properties ?? {}).length > 0) {
    const box = element('fieldset', { class: 'own' });
    const inner = element('div', { class: 'form' });
    box.append(element('legend', {}, `What ${entry.Type} needs to know`), inner);
    showFields(inner, own, settings, 'Sensor', () => {
      entry.Sensor = settings;
      onChange();
    });
    fields.querySelector(':scope > details')?.before(box) ?? fields.append(box);
  }
  const name = fieldInput('Name');
  const code = fieldInput('Codifier');
  code.maxLength = 2;
  code.addEventListener('input', () => { isChosen = true; });
  name.addEventListener('input', () => {
    if (isChosen || name.value === '') return;
    code.value = proposed(name.value);
    entry.Codifier = code.value;
  });
}

const fieldInput = (path) => fields.querySelector(`.field[data-path="${path}"] input`);

function showAll(mistakes, warnings = []) {
  const place = document.getElementById('mistakes');
  const rest = showMistakes(fields, mistakes);
  place.replaceChildren(
    ...rest.map((it) => element('p', { class: 'wrong' }, it.path ? `${it.path}: ${it.text}` : it.text)),
    ...warnings.map((it) => element('p', {}, `Warning: ${it.path ? `${it.path}: ` : ''}${it.text}`)),
  );
  place.hidden = place.childElementCount === 0;
}

const edit = (more = {}) => ({
  base, codifier, entry, section, why: document.getElementById('why').value, ...more,
});

const check = debounced(async () => {
  try {
    const { mistakes, warnings } = await request('settings/check', { method: 'POST', body: edit() });
    showAll(mistakes, warnings.filter((it) => it.key !== null));
  } catch (error) {
    toast(error.message, true);
  }
});

/** Go on with what was saved, in this form. */
function onSaved(number) {
  if (number === null) return;
  base = number;
  isDirty = false;
  showAll([]);
  document.getElementById('outcome').scrollIntoView({ block: 'nearest' });
  if (section) return;
  codifier = entry.Codifier;
  isChosen = true;
  const title = document.getElementById('title');
  if (title) title.textContent = entry.Name || codifier;
  const address = `${ROOT}settings/component/${encodeURIComponent(codifier)}`;
  history.replaceState(null, '', address);
}

document.getElementById('type')?.addEventListener('change', async (event) => {
  const type = event.target.value;
  try {
    const found = await request(`settings/schema/${encodeURIComponent(type)}`);
    Object.assign(model, found);
    entry.Type = type;
    draw();
    onChange();
  } catch (error) {
    toast(error.message, true);
  }
});

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('[type=submit]');
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    onSaved(await save(edit(), (mistakes) => {
      showAll(mistakes);
      fields.querySelector('[aria-invalid]')?.focus();
    }));
  } finally {
    button.removeAttribute('aria-busy');
  }
});

const sure = document.getElementById('sure');
document.getElementById('remove')?.addEventListener('click', () => sure.showModal());
sure?.addEventListener('close', async () => {
  if (sure.returnValue !== 'yes') return;
  const number = await save(edit({ entry: null, why: document.getElementById('why').value || `remove ${codifier}` }));
  if (number !== null) {
    isDirty = false;
    form.hidden = true;
  }
});

addEventListener('beforeunload', (event) => { if (isDirty) event.preventDefault(); });

draw();
form.hidden = false;
if (codifier === '' && !section) (fieldInput('Name') ?? form.querySelector('input')).focus();
