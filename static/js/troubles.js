// What does not work, at the top of a page: a dead node, or a component with those it serves, is one thing.

import { element, icon } from './elements.js';
import { ROOT, serverNow } from './live.js';
import { put, span, when } from './view.js';

const MOST = 6; // things that are shown until somebody asks for more

const things = (count) => (count === 1 ? 'its one component gives no'
  : `none of its ${count} components gives a`);

const shortened = (codifiers) => codifiers.slice(0, 5).join(', ')
  + (codifiers.length > 5 ? ` and ${codifiers.length - 5} more` : '');

function words({ kind, name, codifier, state, codifiers, reason }) {
  if (kind === 'unseen') return [element('strong', {}, 'Never heard:'), ` ${codifiers.join(', ')}`];
  if (kind === 'node') {
    const link = element('a', { href: `${ROOT}?${new URLSearchParams({ host: name })}` }, name);
    return [link, ` is dead: ${things(codifiers.length)} sign of life`];
  }
  if (kind === 'part') {
    const query = new URLSearchParams({ host: name, state });
    const link = element('a', { href: `${ROOT}?${query}` }, `${codifiers.length} components of ${name}`);
    return [link, ` fell silent together: ${shortened(codifiers)}`];
  }
  const link = element('a', { href: `${ROOT}component/${encodeURIComponent(codifier)}` }, name);
  const served = codifiers.length - 1;
  const more = served ? `, with ${served} that it serves` : '';
  return [link, ' ', element('code', {}, codifier), ` is ${state}${more}${reason && `: ${reason}`}`];
}

export class Troubles {
  constructor(root) {
    this.root = root;
    this.ages = []; // [element, ms]
    this.isOpen = false;
    this.shown = null;
    for (const time of root.querySelectorAll('time')) put(time, when(Number(time.dataset.ms)));
    setInterval(() => this.tick(), 1_000);
  }

  /** Show what does not work; true if that is something else than before. */
  show(troubles) {
    const text = JSON.stringify([troubles, this.isOpen]);
    if (text === this.shown) return false;
    this.shown = text;
    this.ages = [];
    if (!troubles.length) {
      const attributes = { class: 'well', 'data-state': 'active' };
      this.root.replaceChildren(element('p', attributes, icon('active'), 'Nothing is silent or failing.'));
      return true;
    }
    const list = element('ul', { role: 'list' });
    const shown = this.isOpen || troubles.length <= MOST + 1 ? troubles : troubles.slice(0, MOST);
    for (const trouble of shown) {
      const line = element('span', {}, ...words(trouble));
      const item = element('li', { 'data-state': trouble.state }, icon(trouble.state), line);
      if (trouble.since_ms !== null) {
        const age = element('span', { class: 'since', title: when(trouble.since_ms) });
        this.ages.push([age, trouble.since_ms]);
        item.append(age);
      }
      list.append(item);
    }
    if (shown.length < troubles.length) {
      const attributes = { type: 'button', class: 'plain' };
      const more = element('button', attributes, `and ${troubles.length - shown.length} more`);
      more.addEventListener('click', () => { this.isOpen = true; this.show(troubles); });
      list.append(element('li', {}, more));
    }
    this.root.replaceChildren(list);
    this.tick();
    return true;
  }

  tick() {
    for (const [place, time_ms] of this.ages) {
      put(place, `for ${span(serverNow() - time_ms)}, since ${when(time_ms)}`);
    }
  }
}
