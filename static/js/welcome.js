// The first start: writes the configuration, and waits until the pages answer under it.

import { ROOT } from './live.js';
import { request } from './request.js';

const STEP_MS = 500;
const SETTLED_MS = 8_000; // by then the server has begun again, or need not
const LONGEST_MS = 30_000;

const form = document.getElementById('apply');
const words = document.getElementById('applied');

const pause = () => new Promise((resolve) => { setTimeout(resolve, STEP_MS); });

const uptime = async () => (await (await fetch(`${ROOT}healthz`)).json()).uptime_s;

/** Wait until the server has begun again, as its uptime tells, and answers. */
async function beginsAgain(before_s) {
  const since = Date.now();
  while (Date.now() - since < LONGEST_MS) {
    await pause();
    try {
      if (await uptime() < before_s || Date.now() - since > SETTLED_MS) return true;
    } catch { /* it begins again just now */ }
  }
  return false;
}

async function apply() {
  const { network, open } = Object.fromEntries(new FormData(form));
  form.querySelector('button').hidden = true;
  words.textContent = 'Writing the configuration …';
  try {
    const before_s = await uptime();
    await request('welcome/apply', { method: 'POST', body: { network, open } });
    const opened = open === '1' ? 'The pages are open to the network.' : 'The configuration is written.';
    words.textContent = await beginsAgain(before_s) ? opened : 'The pages do not answer: see the log of JPH.';
  } catch (error) {
    words.textContent = error.message;
    form.querySelector('button').hidden = false;
  }
}

form.addEventListener('submit', (event) => { event.preventDefault(); apply(); });
apply();
