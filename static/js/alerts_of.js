// The alerts about one component, on its page.

import { command, keepFocus, row, tell } from './alert_parts.js';
import { request } from './request.js';

const panel = document.getElementById('alerts-of');
const list = panel.querySelector('ul');
const isOperator = Number(panel.dataset.role) >= 2;
let version = -1;

async function refresh() {
  try {
    const { alerts, version: now } = await request(`alerts/now?${new URLSearchParams({ of: panel.dataset.of })}`);
    version = now;
    const send = (pressed, path, body, name) => command(pressed, path, body, refresh, name);
    keepFocus(list, () => list.replaceChildren(...alerts.map((it) => row(it, isOperator, send))));
    panel.hidden = alerts.length === 0;
    tell();
  } catch {
    // The page says so where its live values cease.
  }
}

addEventListener('jph:alerts', ({ detail }) => {
  if (detail.version !== version) refresh();
});
setInterval(tell, 1_000);
refresh();
