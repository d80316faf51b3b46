// Times in the zone of the viewer and numbers as their locale has them, on pages that the server made whole.

import { localNumber } from './numbers.js';
import { when, put } from './view.js';

for (const time of document.querySelectorAll('time[data-ms]')) put(time, when(Number(time.dataset.ms)));
for (const number of document.querySelectorAll('[data-number]')) put(number, localNumber(number.textContent));
for (const secret of document.querySelectorAll('input.secret')) {
  secret.addEventListener('focus', () => secret.select());
}
