// The device that a component is a value of: what it was told and said, made by the server.

import { showTimes } from './times.js';

const EVERY_MS = 10_000;
const panel = document.getElementById('device');
const news = panel.querySelector('[data-part=news]');
let shown = '';

async function refresh() {
  if (document.hidden || news.querySelector('details[open]')) return; // somebody reads in it
  let answer;
  try {
    answer = await fetch(panel.dataset.news, { headers: { Accept: 'text/html' } });
  } catch {
    return; // the page says so where its live values cease
  }
  if (answer.redirected) return location.reload(); // the session has ended
  const text = await answer.text();
  if (!answer.ok || text === shown) return;
  const place = news.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
  shown = text;
  news.innerHTML = text;
  showTimes(news);
  if (place) news.querySelector(`[aria-label="${CSS.escape(place)}"]`)?.focus();
}

setInterval(refresh, EVERY_MS);
addEventListener('visibilitychange', refresh);
refresh();
