// Saving a change of the configuration: what others changed meanwhile, and what became of it.

import { element } from '../elements.js';
import { ROOT } from '../live.js';
import { request, toast } from '../request.js';
import { put, when } from '../view.js';

const POLL_MS = 400;
const MOVED_AFTER = 5; // polls without an answer
const WORDS = {
  took: 'have taken it',
  waiting: 'have yet to answer',
  refused: 'answer, but have not taken it; their logs tell why',
  silent: 'did not answer',
};
const TITLES = {
  trying: 'It is saved, and tried out …',
  'in force': 'It is in force.',
  'taken back': 'It was taken back, and the configuration before it is in force.',
  left: 'The file was changed meanwhile; it stays as it is.',
};

for (const time of document.querySelectorAll('time[data-ms]')) {
  put(time, when(Number(time.dataset.ms)));
}

const place = (root, name) => root.querySelector(`[data-show=${name}]`);

/**
 * Save an edit and show what becomes of it; resolves to its number, or to null if it is not saved.
 *
 * onMistakes is called with those of a document that is refused.
 */
export async function save(edit, onMistakes) {
  const conflict = document.getElementById('conflict');
  conflict.hidden = true;
  let answer;
  try {
    answer = await request('settings/save', { method: 'POST', body: edit });
  } catch (error) {
    toast(error.message, true);
    return null;
  }
  if (answer.conflict) return settle(conflict, answer, edit, onMistakes);
  if (answer.mistakes) {
    onMistakes?.(answer.mistakes);
    const [{ path, text }] = answer.mistakes;
    toast(`It is not saved: ${path ? `${path}: ` : ''}${text}`, true);
    return null;
  }
  follow(answer.number, answer.moves_to);
  return answer.number;
}

/** Let a person decide between their changes and those of somebody else. */
function settle(panel, answer, edit, onMistakes) {
  const name = answer.who || (answer.kind === 'by hand' ? 'Somebody, in the file itself,' : 'Somebody');
  put(place(panel, 'who'), `${name} made revision ${answer.newest} at ${when(answer.time_ms)}.`);
  for (const side of ['theirs', 'mine']) {
    place(panel, side).replaceChildren(...answer[side].map(({ path, before, after }) => {
      const cells = [element('td', {}, path), element('td', { class: 'gone' }, before), element('td', { class: 'come' }, after)];
      return element('tr', {}, ...cells);
    }));
  }
  const overlaps = place(panel, 'overlaps');
  overlaps.hidden = answer.overlaps.length === 0;
  put(overlaps, `Both changed ${answer.overlaps.join(', ')}: if you keep both changes, yours stands there.`);
  panel.querySelector('[data-do=merge]').hidden = !answer.can_merge;
  panel.hidden = false;
  panel.focus();
  return new Promise((resolve) => {
    panel.onclick = (event) => {
      const choice = event.target.dataset?.do;
      if (!choice) return;
      panel.hidden = true;
      if (choice === 'theirs') location.reload();
      else resolve(save({ ...edit, how: choice }, onMistakes));
    };
  });
}

/** Show what becomes of a revision, until all is known. */
export async function follow(number, address = '') {
  const panel = document.getElementById('outcome');
  const title = panel.querySelector('h2');
  panel.hidden = false;
  put(title, TITLES.trying);
  place(panel, 'link').href = `${ROOT}settings/revisions/${number}`;
  let failures = 0;
  for (;;) {
    let found = null;
    try {
      const response = await fetch(`${ROOT}settings/outcome/${number}`, { headers: { Accept: 'application/json' } });
      if (response.ok) found = await response.json();
    } catch {
      // The pages are being started again.
    }
    if (found) {
      failures = 0;
      show(panel, found);
      if (found.is_over) return;
    } else if (++failures === MOVED_AFTER) {
      const reason = place(panel, 'reason');
      reason.textContent = 'These pages are being started again. ';
      if (address) {
        reason.append('They move to ', element('a', { href: `${location.protocol}//${address}${ROOT}` }, address), '.');
      }
    }
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
  }
}

function show(panel, { number, state, reason, components }) {
  panel.dataset.state = state;
  put(panel.querySelector('h2'), `Revision ${number}: ${TITLES[state] ?? 'saved.'}`);
  put(place(panel, 'reason'), reason);
  const groups = Object.keys(WORDS).map((answer) => [
    answer, components.filter((it) => it.answer === answer),
  ]).filter(([, members]) => members.length > 0);
  place(panel, 'groups').replaceChildren(...groups.map(([answer, members]) => {
    const line = element('li', { 'data-answer': answer });
    line.append(element('b', {}, String(members.length)), ` ${WORDS[answer]}`);
    if (answer !== 'took') line.append(`: ${members.map((it) => it.codifier).join(', ')}`);
    return line;
  }), ...components.filter((it) => it.fault).map((it) => {
    const line = element('li', { 'data-answer': 'refused' });
    line.append(element('b', {}, it.codifier), ` has taken it, but fails: ${it.fault}`);
    return line;
  }));
}

/** Call a function a moment after the last of many calls. */
export function debounced(action, delay_ms = 350) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, delay_ms);
  };
}
