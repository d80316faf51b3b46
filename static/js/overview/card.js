// A card: what is known of its component, and its place on the page, touched only where it is seen.

import { svgElement } from '../elements.js';
import { serverNow } from '../live.js';
import { localNumber } from '../numbers.js';
import { draw, RING } from '../spark.js';
import { span, when, WORDS } from '../view.js';

const FEW = 20; // points, with which a curve is drawn at once

export class Card {
  constructor(root, index) {
    const { dataset } = root;
    this.root = root;
    this.index = index;
    this.codifier = dataset.codifier;
    this.timeout_ms = Number(dataset.timeout);
    this.kind = dataset.kind;
    this.type = dataset.type;
    this.host = dataset.host;
    this.area = dataset.area;
    this.isWords = 'words' in dataset; // its values are texts
    this.labels = JSON.parse(dataset.labels);
    this.link = root.querySelector('h3 a');
    this.title = this.link.textContent;
    this.words = [
      this.title, this.link.title, this.codifier, this.type, this.host, this.area, ...this.labels,
    ].join(' ').toLowerCase();
    this.state = dataset.state;
    this.fields = {}; // what came and is not shown yet
    this.time_ms = null;
    this.lost = 0;
    this.points = [];
    this.places = null; // found when it is seen first
    this.texts = new Map(); // of each place, what stands there
    this.svg = null;
    this.drawn_ms = -Infinity;
    this.hasNewPoints = false;
  }

  /** The last number, or NaN. */
  get number() {
    const last = this.points.at(-1)?.[1];
    return typeof last === 'number' ? last : NaN;
  }

  /** Take the fields that changed; true if its place among the others may be another one. */
  take(fields, points, isSnapshot, now) {
    Object.assign(this.fields, fields);
    if ('Age' in fields) this.time_ms = now - fields.Age;
    if ('Lost' in fields) this.lost = fields.Lost;
    if (isSnapshot) this.points = points;
    else if (points.length) this.points = this.points.concat(points).slice(-RING);
    this.hasNewPoints ||= isSnapshot || points.length > 0;
    const isMoved = 'State' in fields && fields.State !== this.state;
    if (isMoved) this.state = fields.State;
    return isMoved;
  }

  /** Bring what came to the page. */
  render() {
    this.places ??= Object.fromEntries([...this.root.querySelectorAll('[data-show]')]
      .map((place) => [place.dataset.show, place]));
    const { places, fields, root } = this;
    if ('Text' in fields) {
      this.put('text', this.isWords ? fields.Text : localNumber(fields.Text));
      places.text.parentElement.title = fields.Text.length > 16 ? fields.Text : '';
    }
    if ('Unit' in fields) this.put('unit', fields.Unit);
    if ('Lost' in fields) {
      this.put('lost', `${fields.Lost} lost`);
      places.lost.classList.toggle('some', fields.Lost > 0);
    }
    if (root.dataset.state !== this.state) {
      root.dataset.state = this.state;
      places.status.querySelector('use').setAttribute('href', `#i-${this.state}`);
      places.status.lastElementChild.textContent = WORDS[this.state];
    }
    if ('Reason' in fields) {
      this.put('reason', fields.Reason);
      places.reason.hidden = fields.Reason === '';
      places.reason.title = fields.Reason;
    }
    if ('Halted' in fields) root.dataset.halted = fields.Halted ? 'yes' : 'no';
    this.fields = {};
    this.tick();
  }

  /** Draw its curve if there is something new, and the last time is so long ago. */
  drawIfDue(now_ms, every_ms) {
    if (!this.hasNewPoints || (this.points.length > FEW && now_ms - this.drawn_ms < every_ms)) return;
    this.hasNewPoints = false;
    this.drawn_ms = now_ms;
    if (!this.svg && this.points.length > 1) {
      const attributes = {
        class: 'spark', viewBox: '0 0 120 30', preserveAspectRatio: 'none', 'aria-hidden': 'true',
      };
      const paths = ['area', 'line'].map((name) => svgElement('path', { class: name }));
      this.svg = svgElement('svg', attributes, ...paths);
      this.root.querySelector('.value').after(this.svg);
    }
    if (this.svg) draw(this.svg, this.points, this.timeout_ms);
  }

  /** Go on with the time that has passed. */
  tick() {
    if (!this.places) return;
    const isLate = this.state === 'silent' || this.state === 'failing';
    let text = isLate ? 'no reading yet' : '';
    if (this.time_ms !== null) {
      const past = span(serverNow() - this.time_ms);
      text = isLate ? `for ${past}` : past;
      if (this.texts.get('age') !== text) this.places.age.title = when(this.time_ms);
    }
    this.put('age', text);
  }

  put(name, text) {
    if (this.texts.get(name) === text) return;
    this.texts.set(name, text);
    this.places[name].textContent = text;
  }
}
