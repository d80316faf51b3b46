// Lines of the log as elements.

import { ROOT } from './live.js';
import { request } from './request.js';
import { when } from './view.js';

/** Ask for lines; `query` has component, level, words, source, before, after. */
export function askLines(query, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return request(`logs/lines?${new URLSearchParams(given)}`, { signal });
}

function piece(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

/** One line: time, level, Codifier, logger and text. */
export function lineElement({ time, level, logger, codifier, text }, isKnown = () => false) {
  const item = document.createElement('li');
  item.dataset.level = level;
  const about = document.createElement('span');
  if (isKnown(codifier)) {
    const link = piece('a', '', codifier);
    link.href = `${ROOT}component/${encodeURIComponent(codifier)}`;
    about.append(link);
  } else {
    about.textContent = codifier;
  }
  const said = piece('p', 'said', '');
  if (logger) said.append(piece('span', 'logger', `${logger}: `));
  said.append(text);
  item.append(piece('time', '', time === null ? '' : when(time)), piece('span', 'level', level.toLowerCase()), about, said);
  return item;
}
