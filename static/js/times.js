// Times in the zone of the viewer, on pages that the server made whole.

import { when, put } from './view.js';

for (const time of document.querySelectorAll('time[data-ms]')) put(time, when(Number(time.dataset.ms)));
for (const secret of document.querySelectorAll('input.secret')) {
  secret.addEventListener('focus', () => secret.select());
}
