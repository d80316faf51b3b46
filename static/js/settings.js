// The list of components in Settings.

import { request, toast } from './request.js';
import './settings/outcome.js';

const filter = document.getElementById('filter');
const entries = [...document.querySelectorAll('.entries > li')];

filter.addEventListener('input', () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const entry of entries) {
    const text = entry.dataset.words.toLowerCase();
    entry.hidden = !words.every((word) => text.includes(word));
  }
  document.getElementById('nothing').hidden = entries.some((entry) => !entry.hidden);
});

document.getElementById('reload')?.addEventListener('click', async (event) => {
  try {
    await request('settings/reload', { method: 'POST', body: {} });
    toast('All components are told to load it.');
    event.target.closest('.notice').hidden = true;
  } catch (error) {
    toast(error.message, true);
  }
});
