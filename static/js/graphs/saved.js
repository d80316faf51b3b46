// Graphs that a person saved: open, save, update, rename, delete, show first.

import { ROOT } from '../live.js';
import { request, toast } from '../request.js';

export class Saved {
  /** `settingsOf()` returns the query to save; `onChosen(graph)` is called with what is open now, or null. */
  constructor({ settingsOf, onChosen }) {
    this.settingsOf = settingsOf;
    this.onChosen = onChosen;
    this.list = document.getElementById('saved-list');
    this.form = document.getElementById('save-form');
    this.own = document.getElementById('own-graph');
    const { saved, name, own, start } = document.getElementById('page').dataset;
    this.open = saved && own === 'yes' ? { number: Number(saved), name, is_start: start === 'yes' } : null;
    if (!this.form) return;
    document.getElementById('saved').addEventListener('toggle', ({ target }) => target.open && this.load());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.save();
    });
    this.own.addEventListener('click', ({ target }) => this[target.dataset.do]?.());
    this.show();
  }

  show() {
    this.own.hidden = this.open === null;
    this.form.elements.name.value = this.open?.name ?? this.form.elements.name.value;
    this.own.querySelector('[data-do=start]').setAttribute('aria-pressed', String(this.open?.is_start ?? false));
  }

  async load() {
    let graphs = [];
    try {
      graphs = await request('graphs/saved');
    } catch (error) {
      toast(error.message, true);
      return;
    }
    document.getElementById('saved-none').hidden = graphs.length > 0;
    this.list.replaceChildren(...graphs.map(({ number, name, is_start }) => {
      const item = document.createElement('li');
      const link = document.createElement('a');
      link.href = `${ROOT}graphs?saved=${number}`;
      const text = document.createElement('bdi');
      text.textContent = name;
      link.append(text, is_start ? ' (shown first)' : '');
      if (number === this.open?.number) link.setAttribute('aria-current', 'true');
      item.append(link);
      return item;
    }));
  }

  async do(path, body, done) {
    try {
      const graph = await request(path, { method: 'POST', body });
      this.open = 'number' in graph ? graph : null;
      toast(done);
    } catch (error) {
      toast(error.message, true);
      return;
    }
    this.show();
    this.onChosen(this.open);
    await this.load();
  }

  get name() {
    return this.form.elements.name.value.trim();
  }

  save() {
    return this.do('graphs/saved', { name: this.name, settings: this.settingsOf() }, 'Saved.');
  }

  change(body, done) {
    return this.do(`graphs/saved/${this.open.number}`, body, done);
  }

  update() {
    return this.change({ settings: this.settingsOf() }, 'Updated.');
  }

  rename() {
    return this.change({ name: this.name }, 'Renamed.');
  }

  start() {
    const is_start = !this.open.is_start;
    return this.change({ is_start }, is_start ? 'Shown first from now on.' : 'No longer shown first.');
  }

  delete() {
    if (!confirm(`Delete the graph ${this.open.name}?`)) return;
    this.do(`graphs/saved/${this.open.number}/delete`, {}, 'Deleted.');
  }
}
