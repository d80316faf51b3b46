// The log: the newest lines first, followed by asking again while someone looks.

import { ROOT, connect } from './live.js';
import { askLines, lineElement } from './log_lines.js';
import { put, showFrame, when } from './view.js';

const EVERY_MS = 2_000;
const TYPING_MS = 300;
const MOST = 2_000; // lines on the page
const LOOKS = 20; // at parts of a long log without such a line, before a person is asked

const form = document.getElementById('log-filter');
const list = document.getElementById('log-lines');
const empty = document.getElementById('log-empty');
const problem = document.getElementById('log-problem');
const older = document.getElementById('log-older');
const pause = document.getElementById('pause');
const state = document.getElementById('log-state');
const codifiers = new Set([...form.elements.component.options].map(({ value }) => value).filter(Boolean));

let before = null; // where older lines go on; null: there are none
let after = null; // where newer ones go on; null: nothing was read yet
let asked = new AbortController();
let timer = 0;
let typing = 0;
let isPaused = false;
let since_ms = null; // while the log cannot be read

const filter = () => Object.fromEntries(new FormData(form));
const elements = (lines) => [...lines].reverse().map((line) => lineElement(line, (codifier) => codifiers.has(codifier)));

function tell(error) {
  since_ms = error ? since_ms ?? Date.now() : null;
  problem.hidden = !error;
  if (error) put(problem, `Not read since ${when(since_ms)}: ${error.message}`);
}

function show() {
  empty.hidden = list.childElementCount > 0;
  older.hidden = before === null;
  put(state, isPaused ? 'Paused' : '');
}

/** Begin anew: the newest lines that fit. */
async function begin() {
  clearTimeout(timer);
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  after = null;
  before = null;
  try {
    const found = await askLines(filter(), signal);
    if (signal.aborted) return;
    after = found.after;
    before = found.before;
    list.replaceChildren(...elements(found.lines));
    tell(null);
    if (found.lines.length === 0 && before !== null) await showOlder();
  } catch (error) {
    if (signal.aborted) return;
    tell(error);
  }
  show();
  timer = setTimeout(follow, EVERY_MS);
}

async function follow() {
  const { signal } = asked;
  if (!document.hidden && !isPaused) {
    if (after === null) {
      begin();
      return;
    }
    try {
      const found = await askLines({ ...filter(), after }, signal);
      if (signal.aborted) return;
      after = found.after;
      list.prepend(...elements(found.lines));
      while (list.childElementCount > MOST) list.lastElementChild.remove();
      tell(null);
      show();
    } catch (error) {
      if (signal.aborted) return;
      tell(error);
    }
  }
  timer = setTimeout(follow, EVERY_MS);
}

async function showOlder() {
  const { signal } = asked;
  older.setAttribute('aria-busy', 'true');
  try {
    for (let look = 0; look < LOOKS && before !== null; look += 1) {
      const found = await askLines({ ...filter(), before }, signal);
      if (signal.aborted) return;
      before = found.before;
      list.append(...elements(found.lines));
      if (found.lines.length > 0) break;
    }
    tell(null);
  } catch (error) {
    if (!signal.aborted) tell(error);
  } finally {
    older.removeAttribute('aria-busy');
    show();
  }
}

function changed() {
  const query = new URLSearchParams(Object.entries(filter()).filter(([, value]) => value !== ''));
  history.replaceState(null, '', `${ROOT}logview?${query}`);
  begin();
}

form.addEventListener('submit', (event) => event.preventDefault());
form.addEventListener('change', changed);
form.elements.words.addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(changed, TYPING_MS);
});
older.addEventListener('click', showOlder);
pause.addEventListener('click', () => {
  isPaused = !isPaused;
  pause.setAttribute('aria-pressed', String(isPaused));
  put(pause, isPaused ? 'Go on' : 'Pause');
  show();
});

connect(showFrame, { codifier: [...codifiers][0] }); // of the others nothing is shown here
begin();
