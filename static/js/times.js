// Times in the zone of the viewer and numbers as their locale has them, on pages that the server made whole.

import { localNumber } from './numbers.js';
import { when, put } from './view.js';

/** Write the times and numbers in a part of a page. */
export function showTimes(part) {
  for (const time of part.querySelectorAll('time[data-ms]')) put(time, when(Number(time.dataset.ms)));
  for (const number of part.querySelectorAll('[data-number]')) put(number, localNumber(number.textContent));
}

showTimes(document);
for (const secret of document.querySelectorAll('input.secret')) {
  secret.addEventListener('focus', () => secret.select());
}
