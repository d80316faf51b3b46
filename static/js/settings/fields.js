// The fields of a form, made from a JSON Schema; what it does not know of a value stays as it is.

import { element } from '../elements.js';

let numbers = 0;

const options = (schema) => (schema.anyOf ?? [schema]).flatMap((it) => (
  Array.isArray(it.type) ? it.type.map((type) => ({ ...it, type })) : [it]
)).filter((it) => it.type !== 'null');

const has = (schema, type) => options(schema).some((it) => it.type === type);

/** The kind of field that a schema asks for. */
function kindOf(schema) {
  const choices = options(schema);
  if (choices.some((it) => it.enum)) return 'choice';
  if (has(schema, 'boolean')) return 'boolean';
  if (has(schema, 'number') || has(schema, 'integer')) return has(schema, 'array') ? 'json' : 'number';
  if (has(schema, 'object')) {
    const shape = choices.find((it) => it.type === 'object');
    return Object.keys(shape.properties ?? {}).length > 0 ? 'group' : 'json';
  }
  if (has(schema, 'array')) {
    const items = options(choices.find((it) => it.type === 'array').items ?? {});
    if (items.some((it) => it.properties)) return 'rows';
    if (has(schema, 'string')) return 'text';
    return items.every((it) => it.type === 'string') ? 'words' : 'json';
  }
  return has(schema, 'string') ? 'text' : 'json';
}

/**
 * Show the fields of an object, the required ones and those that are set first.
 *
 * Args: a place; the schema of an object; the object, which is changed as one types; the path of
 * the object; called after each change. `first` names further keys that are shown at once, `skip`
 * those that have no field.
 */
export function showFields(root, schema, value, path, onChange, { first = [], skip = [] } = {}) {
  const required = new Set(schema.required ?? []);
  const shown = [];
  const more = [];
  for (const [key, known] of Object.entries(schema.properties ?? {})) {
    if (skip.includes(key)) continue;
    const where = path ? `${path}.${key}` : key;
    const field = fieldOf(known, value, key, where, required.has(key), onChange);
    const isFirst = required.has(key) || first.includes(key) || (value[key] ?? null) !== null;
    (isFirst ? shown : more).push(field);
  }
  root.replaceChildren(...shown);
  if (more.length > 0) {
    const details = element('details');
    details.append(element('summary', {}, shown.length > 0 ? 'More settings' : 'Settings'), ...more);
    root.append(details);
  }
}

function fieldOf(schema, owner, key, path, isRequired, onChange) {
  const kind = kindOf(schema);
  const set = (next) => {
    if (next === undefined) delete owner[key];
    else owner[key] = next;
    onChange();
  };
  if (kind === 'group') return groupOf(schema, owner, key, path, set, onChange);
  if (kind === 'rows') return rowsOf(schema, owner, key, path, set, onChange);
  return labelled(schema, key, path, isRequired, makers[kind](schema, owner[key], set, isRequired));
}

/** A label with its unit, a control, its help and the place of its mistake. */
function labelled(schema, key, path, isRequired, control) {
  const box = element('div', { class: 'field', 'data-path': path });
  const id = `field-${++numbers}`;
  const label = element('label', { for: id }, schema.title ?? key);
  if (schema['x-unit']) label.append(element('span', { class: 'quiet' }, ` in ${schema['x-unit']}`));
  if (isRequired) control.setAttribute('aria-required', 'true');
  control.id = id;
  control.setAttribute('aria-describedby', `${id}-help`);
  const help = element('span', { class: 'help', id: `${id}-help` });
  help.append(element('span', {}, (schema.description ?? '').replace(/, s$|, s; /, (it) => (it.endsWith('; ') ? '; ' : ''))));
  help.append(element('span', { class: 'wrong', 'data-wrong': '' }));
  box.append(label, control, help);
  return box;
}

const defaultOf = (schema) => (schema.default === undefined || schema.default === '' ? '' : String(schema.default));

function parsed(text) {
  const number = Number(text.replace(',', '.'));
  return text.trim() !== '' && Number.isFinite(number) ? number : text;
}

const makers = {
  text(schema, value, set) {
    const isText = value === undefined || value === null || typeof value === 'string';
    const input = element('input', { type: 'text', spellcheck: 'false', placeholder: defaultOf(schema) });
    input.value = isText ? value ?? '' : JSON.stringify(value);
    input.addEventListener('input', () => {
      let next = input.value === '' ? undefined : input.value;
      if (has(schema, 'array') && input.value.startsWith('[')) {
        try { next = JSON.parse(input.value); } catch { /* as text, until it is one */ }
      }
      set(next);
    });
    return input;
  },

  number(schema, value, set) {
    const input = element('input', { type: 'text', inputmode: 'decimal', placeholder: defaultOf(schema) });
    input.value = value ?? '';
    input.addEventListener('input', () => set(input.value.trim() === '' ? undefined : parsed(input.value)));
    return input;
  },

  boolean(schema, value, set) {
    const words = { true: 'yes', false: 'no' };
    return select([['', `usual (${words[schema.default] ?? 'no'})`], ['true', 'yes'], ['false', 'no']],
      value === undefined || value === null ? '' : String(value),
      (next) => set(next === '' ? undefined : next === 'true'));
  },

  choice(schema, value, set, isRequired) {
    const choices = options(schema).flatMap((it) => it.enum ?? []);
    const listed = choices.map((it) => [String(it), String(it)]);
    if (!isRequired) listed.unshift(['', schema.default === undefined ? 'usual' : `usual (${schema.default})`]);
    return select(listed, value === undefined || value === null ? '' : String(value),
      (next) => set(choices.find((it) => String(it) === next)));
  },

  words(schema, value, set) {
    const input = element('input', { type: 'text', placeholder: 'separated by commas' });
    input.value = Array.isArray(value) ? value.join(', ') : value ?? '';
    input.addEventListener('input', () => {
      const words = input.value.split(',').map((it) => it.trim()).filter(Boolean);
      set(words.length > 0 ? words : undefined);
    });
    return input;
  },

  json(schema, value, set) {
    const input = element('textarea', { rows: '3', spellcheck: 'false', placeholder: 'JSON' });
    input.value = value === undefined ? '' : JSON.stringify(value);
    input.addEventListener('input', () => {
      if (input.value.trim() === '') { set(undefined); return; }
      try { set(JSON.parse(input.value)); } catch { set(input.value); }
    });
    return input;
  },
};

function select(listed, chosen, onChoose) {
  const made = element('select');
  if (chosen !== '' && !listed.some(([value]) => value === chosen)) listed.push([chosen, chosen]);
  for (const [value, text] of listed) made.append(element('option', { value }, text));
  made.value = chosen;
  made.addEventListener('change', () => onChoose(made.value));
  return made;
}

function groupOf(schema, owner, key, path, set, onChange) {
  const shape = options(schema).find((it) => it.type === 'object');
  const inside = typeof owner[key] === 'object' && owner[key] !== null ? owner[key] : {};
  const isOpen = Object.keys(inside).length > 0 || (shape.required ?? []).length > 0;
  const details = element('details', { class: 'group', 'data-path': path });
  details.open = isOpen;
  const fields = element('div', { class: 'form' });
  details.append(element('summary', {}, schema.title ?? key), fields);
  showFields(fields, shape, inside, path, () => {
    if (Object.keys(inside).length > 0) owner[key] = inside;
    else delete owner[key];
    onChange();
  });
  return details;
}

/** A list of objects, such as the proxies of a component: one group for each, and a button. */
function rowsOf(schema, owner, key, path, set, onChange) {
  const shape = options(options(schema).find((it) => it.type === 'array').items)
    .find((it) => it.properties);
  const box = element('fieldset', { class: 'rows', 'data-path': path });
  const draw = () => {
    const items = Array.isArray(owner[key]) ? owner[key] : [];
    box.replaceChildren(element('legend', {}, schema.title ?? key));
    if (schema.description) box.append(element('span', { class: 'help' }, schema.description));
    items.forEach((item, index) => {
      const row = element('div', { class: 'form row' });
      const fields = element('div', { class: 'form' });
      showFields(fields, shape, item, `${path}[${index}]`, onChange);
      const remove = element('button', { type: 'button', class: 'action', 'aria-label': `Remove ${schema.title ?? key} ${index + 1}` }, 'Remove');
      remove.addEventListener('click', () => {
        items.splice(index, 1);
        set(items.length > 0 ? items : undefined);
        draw();
        box.querySelector('button:last-of-type').focus();
      });
      row.append(fields, remove);
      box.append(row);
    });
    const add = element('button', { type: 'button', class: 'action' }, 'Add one');
    add.addEventListener('click', () => {
      owner[key] = [...items, {}];
      onChange();
      draw();
      box.querySelector('.row:last-of-type :is(input, select)')?.focus();
    });
    box.append(add);
  };
  draw();
  return box;
}

/** Show each mistake at its field; return those that have none. */
export function showMistakes(root, mistakes) {
  for (const place of root.querySelectorAll('[data-wrong]')) {
    place.textContent = '';
    place.closest('.field').querySelector('input, select, textarea').removeAttribute('aria-invalid');
  }
  return mistakes.filter(({ key, text }) => {
    const field = key && [...root.querySelectorAll('.field')].find((it) => it.dataset.path === key);
    if (!field) return true;
    for (let at = field.closest('details'); at; at = at.parentElement.closest('details')) at.open = true;
    field.querySelector('[data-wrong]').textContent = ` It ${text}.`;
    field.querySelector('input, select, textarea').setAttribute('aria-invalid', 'true');
    return false;
  });
}
