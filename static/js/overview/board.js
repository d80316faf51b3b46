// Which cards are shown, in which groups and in which order. web/overview.py makes the first page.

const RANKS = { silent: 0, failing: 1, halted: 2, unseen: 3, active: 4 }; // the worst first
const WELL = 2; // from this rank on, a group has its place by its name

export const GROUPS = {
  area: (card) => card.area || 'No area',
  kind: (card) => card.kind,
  type: (card) => card.type,
  host: (card) => card.host || 'Never heard',
  label: (card) => card.labels[0] ?? 'No label',
  none: () => '',
};

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' }).compare;
// What has no number or time comes last.
const orLast = (number) => (Number.isNaN(number) ? Infinity : number);

export const SORTS = {
  worst: (one, other) => RANKS[one.state] - RANKS[other.state],
  name: (one, other) => byName(one.title, other.title),
  value: (one, other) => orLast(-one.number) - orLast(-other.number) || 0, // NaN is no order
  age: (one, other) => (one.time_ms ?? Infinity) - (other.time_ms ?? Infinity) || 0,
  loss: (one, other) => other.lost - one.lost,
};

/** Whether a place is an area or a part of it. */
export const isWithin = (place, area) => place === area || place.startsWith(`${area}/`);

/** Whether a card is among those that somebody wants to see. */
export function fits(card, { state, q, area, type, host, label }) {
  return (!state || state.split(',').includes(card.state))
    && (!area || isWithin(card.area, area))
    && (!type || card.type === type)
    && (!host || card.host === host)
    && (!label || card.labels.includes(label))
    && q.trim().toLowerCase().split(/\s+/).every((word) => card.words.includes(word));
}

export class Board {
  constructor(root, cards) {
    this.root = root;
    this.cards = cards;
    this.groups = new Map(); // key -> its section
    for (const section of root.querySelectorAll('.group')) {
      this.groups.set(section.dataset.key, section);
    }
  }

  /** Put the cards that fit where they belong; returns how many these are. */
  arrange(choices, group, sort) {
    const compare = SORTS[sort] ?? SORTS.worst;
    const shown = this.cards.filter((card) => fits(card, choices))
      .sort((one, other) => compare(one, other) || one.index - other.index);
    const found = new Map();
    for (const card of shown) {
      const key = GROUPS[group](card);
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(card);
    }
    const rank = (key) => Math.min(WELL, ...found.get(key).map((card) => RANKS[card.state]));
    const keys = [...found.keys()].sort((one, other) => (sort === 'worst' ? rank(one) - rank(other) : 0)
      || byName(one, other));
    const focused = document.activeElement;
    const sections = keys.map((key) => this.section(key, found.get(key)));
    replace(this.root, sections);
    this.keepOneTabStop();
    if (focused && focused !== document.activeElement && this.root.contains(focused)) {
      focused.focus({ preventScroll: true }); // it was moved
    }
    return shown.length;
  }

  section(key, cards) {
    let section = this.groups.get(key);
    if (!section) {
      section = document.createElement('section');
      section.className = 'group';
      section.dataset.key = key;
      const title = document.createElement('h2');
      title.id = `group-${this.groups.size + 1}`;
      title.textContent = key.replaceAll('/', ' › ');
      title.hidden = key === '';
      const list = document.createElement('ul');
      list.className = 'cards';
      list.setAttribute('role', 'list');
      section.setAttribute('aria-labelledby', title.id);
      section.append(title, list);
      this.groups.set(key, section);
    }
    replace(section.lastElementChild, cards.map((card) => card.root));
    return section;
  }

  /** The tab key leads to one card; from there the arrow keys go on. */
  keepOneTabStop() {
    const links = [...this.root.querySelectorAll('h3 a')];
    const stops = links.filter((link) => link.tabIndex === 0);
    const kept = stops.find((link) => link === document.activeElement) ?? stops[0] ?? links[0];
    for (const link of stops) if (link !== kept) link.tabIndex = -1;
    if (kept) kept.tabIndex = 0;
  }
}

/** Have an element these children in this order; those that are right are left alone. */
function replace(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
}
