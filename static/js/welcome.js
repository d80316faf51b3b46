// The first start: writes the configuration, and waits until the pages answer under it.

import { ROOT } from './live.js';
import { request } from './request.js';

const STEP_MS = 500;
const LONGEST_MS = 30_000;

const form = document.getElementById('apply');
const words = document.getElementById('applied');

const pause = () => new Promise((resolve) => { setTimeout(resolve, STEP_MS); });

/** Wait until the server answers again, as it does in its new place. */
async function answers() {
  const until = Date.now() + LONGEST_MS;
  while (Date.now() < until) {
    await pause();
    try {
      if ((await fetch(`${ROOT}healthz`)).status) return true;
    } catch { /* it begins again just now */ }
  }
  return false;
}

async function apply() {
  const { network, open } = Object.fromEntries(new FormData(form));
  form.querySelector('button').hidden = true;
  words.textContent = 'Writing the configuration …';
  try {
    await request('welcome/apply', { method: 'POST', body: { network, open } });
    const opened = open === '1' ? 'The pages are open to the network.' : 'The configuration is written.';
    words.textContent = await answers() ? opened : 'The pages do not answer: see the log of JPH.';
  } catch (error) {
    words.textContent = error.message;
    form.querySelector('button').hidden = false;
  }
}

form.addEventListener('submit', (event) => { event.preventDefault(); apply(); });
apply();
