// The number of alerts that fire, in the navigation of every page.

import { ROOT } from './live.js';

const POLL_MS = 20_000;

const badge = document.getElementById('alerts-badge');
let told = 0;

function show({ firing, worst }) {
  badge.hidden = firing === 0;
  badge.dataset.severity = worst;
  badge.firstElementChild.textContent = firing > 99 ? '99+' : String(firing);
}

async function poll() {
  if (document.hidden || Date.now() - told < POLL_MS) return;
  try {
    const answer = await fetch(`${ROOT}alerts/count`, { headers: { Accept: 'application/json' } });
    if (answer.ok) show(await answer.json());
  } catch {
    // The server is away, which the page itself says.
  }
}

if (badge) {
  addEventListener('jph:alerts', ({ detail }) => {
    told = Date.now();
    show(detail);
  });
  setInterval(poll, POLL_MS);
}
