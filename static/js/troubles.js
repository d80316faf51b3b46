// What does not work, at the top of a page: a dead node, or a component with those it serves, is one thing.

import { ROOT, serverNow } from './live.js';
import { put, span, when } from './view.js';

const MOST = 6; // things that are shown until somebody asks for more

const SVG = 'http://www.w3.org/2000/svg';

function icon(state) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${state}`);
  svg.append(use);
  return svg;
}

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

const things = (count) => (count === 1 ? 'its one component gives no'
  : `none of its ${count} components gives a`);

const shortened = (codifiers) => codifiers.slice(0, 5).join(', ')
  + (codifiers.length > 5 ? ` and ${codifiers.length - 5} more` : '');

function words({ kind, name, codifier, state, codifiers, reason }) {
  if (kind === 'unseen') return [element('strong', 'Never heard:'), ` ${codifiers.join(', ')}`];
  if (kind === 'node') {
    const link = element('a', name, { href: `${ROOT}?${new URLSearchParams({ host: name })}` });
    return [link, ` is dead: ${things(codifiers.length)} sign of life`];
  }
  if (kind === 'part') {
    const query = new URLSearchParams({ host: name, state });
    const link = element('a', `${codifiers.length} components of ${name}`, { href: `${ROOT}?${query}` });
    return [link, ` fell silent together: ${shortened(codifiers)}`];
  }
  const link = element('a', name, { href: `${ROOT}component/${encodeURIComponent(codifier)}` });
  const served = codifiers.length - 1;
  const more = served ? `, with ${served} that it serves` : '';
  return [link, ' ', element('code', codifier), ` is ${state}${more}${reason && `: ${reason}`}`];
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
      const line = element('p', 'Nothing is silent or failing.', { className: 'well' });
      line.dataset.state = 'active';
      line.prepend(icon('active'));
      this.root.replaceChildren(line);
      return true;
    }
    const list = element('ul', '');
    list.setAttribute('role', 'list');
    const shown = this.isOpen || troubles.length <= MOST + 1 ? troubles : troubles.slice(0, MOST);
    for (const trouble of shown) {
      const item = element('li', '');
      item.dataset.state = trouble.state;
      const line = element('span', '');
      line.append(...words(trouble));
      item.append(icon(trouble.state), line);
      if (trouble.since_ms !== null) {
        const age = element('span', '', { className: 'since', title: when(trouble.since_ms) });
        this.ages.push([age, trouble.since_ms]);
        item.append(age);
      }
      list.append(item);
    }
    if (shown.length < troubles.length) {
      const more = element('button', `and ${troubles.length - shown.length} more`, {
        type: 'button', className: 'plain',
      });
      more.addEventListener('click', () => { this.isOpen = true; this.show(troubles); });
      const item = element('li', '');
      item.append(more);
      list.append(item);
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
