// Commands to components, and what became of them.

import { ROOT } from './live.js';

const SHOWN_MS = 4_000;

let timer = 0;

/** Say something briefly, also to a screen reader. */
export function toast(text, isError = false) {
  const place = document.getElementById('toast');
  clearTimeout(timer);
  place.textContent = text;
  place.classList.toggle('is-error', isError);
  place.classList.add('is-shown');
  timer = setTimeout(() => place.classList.remove('is-shown'), SHOWN_MS);
}

/** Send a command, A with a number, and say what became of it; resolves when that is known. */
export async function send(codifier, flag, number) {
  let response;
  let answer = {};
  try {
    response = await fetch(`${ROOT}command`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json',
        'X-CSRF-Token': document.querySelector('meta[name=csrf-token]')?.content ?? '',
      },
      body: JSON.stringify({ codifier, flag, number }),
    });
    answer = await response.json();
  } catch {
    toast('The server does not answer.', true);
    return;
  }
  if (response.status === 401) {
    const here = `/${location.pathname.slice(ROOT.length)}`;
    location.assign(`${ROOT}sign-in?${new URLSearchParams({ next: here })}`);
  } else if (!response.ok) {
    toast(answer.error ?? `Refused (${response.status}).`, true);
  } else if (flag === 'P' && answer.done) {
    const ms = answer.round_trip_ms;
    toast(`${codifier} ${answer.outcome} after ${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms.`);
  } else {
    toast(`${codifier} ${answer.outcome}.`, !answer.done);
  }
}

/** Send with a button that cannot be pressed again until it is over. */
export async function press(button, codifier, flag, number) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    await send(codifier, flag, number);
  } finally {
    button.removeAttribute('aria-busy');
  }
}
