// A backup of any size is sent in parts, and then restored.

import { inSentence } from './numbers.js';
import { request, toast } from './request.js';

const PART = 4 * 1024 * 1024;

for (const size of document.querySelectorAll('[data-sentence]')) size.textContent = inSentence(size.textContent);

const form = document.getElementById('restore');
const progress = form.querySelector('progress');

async function send(file) {
  for (let at = 0; at < file.size; at += PART) {
    progress.value = at / file.size;
    await request(`settings/backup/part?at=${at}`, { method: 'POST', body: file.slice(at, at + PART) });
  }
}

form.addEventListener('submit', async (event) => {
  const { file, sent, name } = form.elements;
  if (!file.files.length || file.files[0].size === 0 || sent.value) return;
  event.preventDefault();
  const button = form.querySelector('button');
  button.setAttribute('aria-busy', 'true');
  progress.hidden = false;
  try {
    await send(file.files[0]);
    name.value = file.files[0].name;
    sent.value = '1';
    file.disabled = true;
    form.submit();
  } catch (error) {
    toast(error.message, true);
    progress.hidden = true;
    button.removeAttribute('aria-busy');
  }
});
