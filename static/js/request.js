// Requests to our own server, with errors in words for people.

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

/**
 * Ask the server for JSON; the path begins behind the root: 'command', 'api/v1/components?area=x'.
 * The body is sent as JSON, a file as it is.
 *
 * Throws an Error whose message is for people; its `answer` is what the server said, if it did.
 * Whoever is not signed in is sent to do so, and comes back here.
 */
export async function request(path, { method = 'GET', body, signal } = {}) {
  const headers = { Accept: 'application/json' };
  const isFile = body instanceof Blob;
  if (isFile) headers['Content-Type'] = body.type || 'application/octet-stream';
  else if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') {
    headers['X-CSRF-Token'] = document.querySelector('meta[name=csrf-token]')?.content ?? '';
  }
  let response;
  let answer = {};
  try {
    response = await fetch(ROOT + path, { method, headers, signal, body: isFile ? body : JSON.stringify(body) });
    answer = response.status === 204 ? {} : await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The server does not answer.', { cause: error });
  }
  if (response.status === 401) {
    const here = `/${location.pathname.slice(ROOT.length)}${location.search}`;
    location.assign(`${ROOT}sign-in?${new URLSearchParams({ next: here })}`);
  }
  if (!response.ok) {
    const words = answer.error ?? answer.detail ?? `Refused (${response.status}).`;
    throw Object.assign(new Error(words), { answer, status: response.status });
  }
  return answer;
}
