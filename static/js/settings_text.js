// The whole configuration as text, checked as one types.

import { element } from './elements.js';
import { request, toast } from './request.js';
import { debounced, save } from './settings/outcome.js';

const form = document.getElementById('document');
const area = document.getElementById('text');
const lines = document.getElementById('lines');
const place = document.getElementById('mistakes');
let base = Number(form.dataset.base);
let saved = area.value;
let wrong = new Set();

/** Number the lines beside the text, and mark those with mistakes. */
function number() {
  const count = area.value.split('\n').length;
  if (lines.childElementCount !== count) {
    lines.replaceChildren(...Array.from({ length: count }, (_, at) => element('span', {}, `${at + 1}\n`)));
  }
  for (const [at, line] of [...lines.children].entries()) {
    line.classList.toggle('wrong', wrong.has(at + 1));
  }
  follow();
}

/** Keep the numbers beside their lines. */
function follow() {
  lines.style.transform = `translateY(${-area.scrollTop}px)`;
}

/** Put the caret where a mistake is. */
function goTo(line, column) {
  const before = area.value.split('\n').slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
  const at = before + Math.max(0, (column ?? 1) - 1);
  area.focus();
  area.setSelectionRange(at, at);
  const height = area.scrollHeight / area.value.split('\n').length;
  area.scrollTop = Math.max(0, (line - 4) * height);
}

function show(mistakes, warnings = []) {
  wrong = new Set(mistakes.map((it) => it.line).filter(Boolean));
  const entry = (it, word) => {
    const row = element('p', { class: word ? 'quiet' : 'wrong' });
    if (it.line) {
      const button = element('button', { type: 'button', class: 'plain' }, `Line ${it.line}`);
      button.addEventListener('click', () => goTo(it.line, it.column));
      row.append(button, ' ');
    }
    row.append(`${word}${it.path ? `${it.path}: ` : ''}${it.text}`);
    return row;
  };
  place.replaceChildren(
    ...mistakes.map((it) => entry(it, '')), ...warnings.map((it) => entry(it, 'Warning: ')),
  );
  if (mistakes.length === 0 && warnings.length === 0) place.append(element('p', { class: 'quiet' }, 'No mistakes.'));
  number();
}

const edit = () => ({ base, text: area.value, why: document.getElementById('why').value });

const check = debounced(async () => {
  const text = area.value;
  try {
    const { mistakes, warnings } = await request('settings/check', { method: 'POST', body: edit() });
    if (text === area.value) show(mistakes, warnings);
  } catch (error) {
    toast(error.message, true);
  }
});

area.addEventListener('input', () => { number(); check(); });
area.addEventListener('scroll', follow);
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = area.value;
  const revision = await save(edit(), show);
  if (revision === null) return;
  base = revision;
  saved = text;
});
addEventListener('beforeunload', (event) => { if (area.value !== saved) event.preventDefault(); });

number();
check();
