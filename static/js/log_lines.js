// Lines of the log as elements.

import { element } from './elements.js';
import { ROOT } from './live.js';
import { request } from './request.js';
import { when } from './view.js';

/** Ask for lines; `query` has component, level, words, source, before, after. */
export function askLines(query, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return request(`logs/lines?${new URLSearchParams(given)}`, { signal });
}

/** One line: time, level, Codifier, logger and text. */
export function lineElement({ time, level, logger, codifier, text }, isKnown = () => false) {
  const said = element('p', { class: 'said' });
  if (logger) said.append(element('span', { class: 'logger' }, `${logger}: `));
  said.append(text);
  return element(
    'li',
    { 'data-level': level },
    element('time', {}, time === null ? '' : when(time)),
    element('span', { class: 'level' }, level.toLowerCase()),
    element('span', {}, isKnown(codifier)
      ? element('a', { href: `${ROOT}component/${encodeURIComponent(codifier)}` }, codifier) : codifier),
    said,
  );
}
