// The last lines of the log about one component.

import { askLines, lineElement } from '../log_lines.js';
import { put } from '../view.js';

const SHOWN = 8;
const LOOKS = 5; // at parts of a long log without such a line
const EVERY_MS = 15_000;

/** Show them in a section, and keep them up to date. */
export async function showLastLines(root, codifier) {
  const note = root.querySelector('[data-part="note"]');
  const list = root.querySelector('.log');
  const query = { component: codifier, level: 'INFO' };
  try {
    let found = await askLines(query);
    for (let look = 0; found.lines.length === 0 && found.before !== null && look < LOOKS; look += 1) {
      found = await askLines({ ...query, before: found.before });
    }
    list.replaceChildren(...found.lines.slice(-SHOWN).reverse().map((line) => lineElement(line)));
    put(note, found.lines.length > 0 ? '' : 'Nothing about it is in the log.');
  } catch (error) {
    put(note, error.message);
  }
  setTimeout(() => {
    if (document.hidden) document.addEventListener('visibilitychange', () => showLastLines(root, codifier), { once: true });
    else showLastLines(root, codifier);
  }, EVERY_MS);
}
