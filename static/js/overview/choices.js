// What a person chose to see: in the address, where it can be shared and gone back to, and remembered.

const KEPT = ['view', 'group', 'sort']; // for good
const FILTERS = ['state', 'q', 'area', 'type', 'host', 'label']; // for as long as this tab lives
const NAMES = [...KEPT, ...FILTERS, 'wall'];
const KEY = 'jph-overview';

const EMPTY = Object.fromEntries(NAMES.map((name) => [name, '']));

function stored(storage) {
  try {
    return JSON.parse(storage.getItem(KEY)) ?? {};
  } catch { // no storage, or not ours
    return {};
  }
}

function store(storage, names, choices) {
  const kept = names.filter((name) => choices[name]).map((name) => [name, choices[name]]);
  try {
    storage.setItem(KEY, JSON.stringify(Object.fromEntries(kept)));
  } catch { /* it is full, or not allowed: the address has it anyway */ }
}

function fromAddress() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? '']));
}

/** The choices; empty text is the usual one. `onChange()` is called after each change. */
export class Choices {
  constructor(onChange) {
    this.onChange = onChange;
    this.now = { ...EMPTY, ...fromAddress() };
    // An address without choices is no shared one: it means what was chosen before.
    if (!location.search) {
      const before = { ...stored(localStorage), ...stored(sessionStorage) };
      for (const name of [...KEPT, ...FILTERS]) this.now[name] = String(before[name] ?? '');
      this.write('replaceState');
    }
    addEventListener('popstate', () => {
      this.now = { ...EMPTY, ...fromAddress() };
      this.remember();
      this.onChange();
    });
  }

  /** Change some of them. `isPassing`: typed letter by letter, so no step to go back to. */
  set(changes, isPassing = false) {
    Object.assign(this.now, changes);
    this.write(isPassing ? 'replaceState' : 'pushState');
    this.remember();
    this.onChange();
  }

  /** Leave all filters. */
  showAll() {
    this.set(Object.fromEntries(FILTERS.map((name) => [name, ''])));
  }

  /** How many filters there are, besides the words that stand in their field anyway. */
  get filters() {
    return FILTERS.filter((name) => name !== 'q' && this.now[name]).length;
  }

  get isFiltered() {
    return FILTERS.some((name) => this.now[name]);
  }

  remember() {
    store(localStorage, KEPT, this.now);
    store(sessionStorage, FILTERS, this.now);
  }

  write(method) {
    const query = new URLSearchParams(NAMES.filter((name) => this.now[name])
      .map((name) => [name, this.now[name]])).toString();
    const address = location.pathname + (query && `?${query}`) + location.hash;
    if (address !== location.pathname + location.search + location.hash) {
      history[method](null, '', address);
    }
  }
}
