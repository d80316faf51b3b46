// Events as marks in the charts and as a list, and the notes of people.

import { serverNow } from '../live.js';
import { inSentence } from '../numbers.js';
import { request, toast } from '../request.js';
import { put, when } from '../view.js';
import { KINDS } from './address.js';
import { toField } from './periods.js';

const WORDS = {
  halted: 'Halted', restart: 'Restarted', configuration: 'Configuration', alert: 'Alert', note: 'Note', silent: 'Silent', failing: 'Failing', active: 'Active again',
};

export class Marks {
  constructor({ infoOf, mayNote, onKinds, onMarks }) {
    this.infoOf = infoOf;
    this.mayNote = mayNote;
    this.onMarks = onMarks;
    this.list = document.getElementById('mark-list');
    this.form = document.getElementById('note-form');
    this.asked = 0;
    const kinds = document.getElementById('kinds');
    this.boxes = KINDS.map((kind) => {
      const label = document.createElement('label');
      const box = document.createElement('input');
      box.type = 'checkbox';
      box.value = kind;
      label.append(box, WORDS[kind]);
      kinds.append(label);
      box.addEventListener('change', () => {
        onKinds(this.boxes.filter(({ checked }) => checked).map(({ value }) => value));
      });
      return box;
    });
    this.form?.addEventListener('submit', (event) => {
      event.preventDefault();
      this.add();
    });
  }

  /** Load the events of a span that a graph marks. */
  async load({ lines, kinds }, [from, to]) {
    this.graph = { lines, kinds };
    this.span = [from, to];
    for (const box of this.boxes) box.checked = kinds.includes(box.value);
    this.asked += 1;
    const mine = this.asked;
    let marks = [];
    if (kinds.length > 0 && lines.length > 0) {
      const query = new URLSearchParams({ from: Math.max(0, Math.floor(from)), to: Math.ceil(to) });
      for (const kind of kinds) query.append('kind', kind);
      for (const { codifier } of lines) query.append('codifier', codifier);
      try {
        marks = await request(`graphs/marks?${query}`);
      } catch (error) {
        if (mine === this.asked) put(document.getElementById('mark-count'), error.message);
        return;
      }
    }
    if (mine !== this.asked) return;
    this.onMarks(marks);
    put(document.getElementById('mark-count'), marks.length ? `${marks.length} in this span` : 'none in this span');
    this.list.replaceChildren(...marks.toReversed().map((mark) => this.item(mark)));
    this.offer();
  }

  /** What an event says; what a person wrote stays as it is. */
  said({ codifier, kind, text }) {
    return kind === 'alert' ? inSentence(text, codifier && this.infoOf(codifier).name) : text;
  }

  /** An event in one line. */
  words({ codifier, kind, text }) {
    const about = codifier ? ` ${this.infoOf(codifier).name}` : '';
    return `${WORDS[kind] ?? kind}${about}${text && `: ${this.said({ codifier, kind, text })}`}`;
  }

  item({ time_ms, codifier, kind, text, who, number }) {
    const item = document.createElement('li');
    const time = document.createElement('time');
    time.dateTime = new Date(time_ms).toISOString();
    time.textContent = when(time_ms);
    const word = document.createElement('strong');
    word.textContent = WORDS[kind] ?? kind;
    const about = document.createElement('bdi');
    about.textContent = codifier ? `${this.infoOf(codifier).name} (${codifier})` : 'the whole network';
    const words = document.createElement('bdi');
    words.textContent = this.said({ codifier, kind, text });
    item.append(time, word, about, words);
    if (who) {
      const person = document.createElement('span');
      person.className = 'quiet';
      person.textContent = `by ${who}`;
      item.append(person);
    }
    if (kind === 'note' && this.mayNote) {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'plain';
      button.textContent = 'Delete';
      button.setAttribute('aria-label', `Delete the note ${text}`);
      button.addEventListener('click', () => this.do(`graphs/marks/${number}/delete`, {}));
      item.append(button);
    }
    return item;
  }

  /** Offer the sensors of the graph for a note, and the end of the span as its time. */
  offer() {
    if (!this.form) return;
    const { codifier, time } = this.form.elements;
    const chosen = codifier.value;
    codifier.replaceChildren(new Option('the whole network', ''), ...this.graph.lines.map((line) => (
      new Option(this.infoOf(line.codifier).name, line.codifier))));
    codifier.value = this.graph.lines.some((line) => line.codifier === chosen) ? chosen : '';
    if (!this.isTimed) time.value = toField(Math.min(this.span[1], serverNow()));
  }

  /** Take a time that somebody pointed at for the next note. */
  point(ms) {
    if (!this.form) return;
    this.isTimed = true;
    this.form.elements.time.value = toField(ms);
  }

  async add() {
    const { codifier, time, text } = this.form.elements;
    const time_ms = new Date(time.value).getTime();
    const body = { time_ms, codifier: codifier.value, text: text.value };
    if (await this.do('graphs/marks', body)) {
      text.value = '';
      this.isTimed = false;
    }
  }

  async do(path, body) {
    try {
      await request(path, { method: 'POST', body });
    } catch (error) {
      toast(error.message, true);
      return false;
    }
    await this.load(this.graph, this.span);
    return true;
  }
}
