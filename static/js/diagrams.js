// A diagram: live values on a picture, and the editor that places them.

import { element, icon } from './elements.js';
import { ROOT, connect } from './live.js';
import { localNumber } from './numbers.js';
import { stayAwake } from './overview/wall.js';
import { request, toast } from './request.js';
import { put, showFrame, WORDS } from './view.js';

const STEP = 0.02; // of the picture, for an arrow key; a tenth of it with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const stage = document.getElementById('stage');
const where = document.getElementById('where');

/** The number in a value, which may be an object; null for texts. */
function numberOf(value) {
  const inner = value !== null && typeof value === 'object' ? value.value : value;
  return typeof inner === 'number' ? inner : null;
}

const limit = (text) => (text === undefined || text === '' ? null : Number(text));

/** One value on the picture. */
class Place {
  constructor(root) {
    const { codifier, x, y, label, name, size, low, high } = root.dataset;
    Object.assign(this, { root, codifier, label, name, size });
    this.low = limit(low);
    this.high = limit(high);
    this.number = null;
    this.move(Number(x), Number(y));
  }

  get link() { return this.root.querySelector('a'); }

  get words() { return this.label || this.name; }

  move(x, y) {
    this.x = Math.min(1, Math.max(0, x));
    this.y = Math.min(1, Math.max(0, y));
    this.root.style.left = `${this.x * 100}%`;
    this.root.style.top = `${this.y * 100}%`;
  }

  /** Show what the live stream tells of the component. */
  show({ Value, Text, Unit, State, Reason }) {
    this.number = numberOf(Value);
    put(this.root.querySelector('b'), this.number === null ? Text : localNumber(Text));
    put(this.root.querySelector('.unit'), Unit);
    this.root.dataset.state = State;
    this.root.querySelector('use').setAttribute('href', `#i-${State}`);
    this.root.title = Reason ?? '';
    this.tell();
  }

  /** Tell whether the value is within its limits, not by colour alone. */
  tell() {
    const { number, low, high } = this;
    const side = number === null ? '' : low !== null && number < low ? 'below'
      : high !== null && number > high ? 'above' : '';
    this.root.classList.toggle('is-out', side !== '');
    put(this.root.querySelector('.mark'), { above: '▲ ', below: '▼ ' }[side] ?? '');
    const state = WORDS[this.root.dataset.state] ?? '';
    put(this.root.querySelector('.unseen-text'), side ? `${state}, ${side} its limit` : state);
    put(this.root.querySelector('.label'), this.words);
    this.root.dataset.size = this.size;
  }

  /** What the server keeps of it. */
  kept() {
    const { codifier, x, y, label, size, low, high } = this;
    return { codifier, x, y, label, size, low, high };
  }
}

/** The editor of a diagram; nothing is kept before Save. */
class Editor {
  constructor(places) {
    this.places = places;
    this.form = document.getElementById('editor');
    this.button = document.getElementById('edit');
    this.selected = document.getElementById('selected');
    this.chosen = null;
    this.isOn = false;
    this.isChanged = false;
    const at = (id, event, run) => document.getElementById(id).addEventListener(event, run);
    this.button.addEventListener('click', () => (this.isOn ? this.leave() : this.begin()));
    this.form.addEventListener('submit', (event) => { event.preventDefault(); this.save(); });
    at('cancel', 'click', () => this.leave());
    at('place', 'click', () => this.add(this.form.elements.component.value));
    at('take-away', 'click', () => this.takeAway());
    at('remove', 'click', () => this.remove());
    at('picture', 'change', (event) => this.replace(event.target.files[0]));
    this.selected.addEventListener('input', () => this.take());
    stage.addEventListener('pointerdown', (event) => this.grab(event));
    stage.addEventListener('keydown', (event) => this.press(event));
    stage.addEventListener('focusin', (event) => this.isOn && this.choose(this.of(event.target)));
    stage.addEventListener('click', (event) => { if (this.isOn) event.preventDefault(); });
    stage.addEventListener('dragstart', (event) => event.preventDefault());
    addEventListener('beforeunload', (event) => { if (this.isChanged) event.preventDefault(); });
  }

  of(element) {
    const root = element.closest?.('.place');
    return this.places.find((place) => place.root === root) ?? null;
  }

  begin() {
    this.isOn = true;
    this.form.hidden = false;
    this.button.setAttribute('aria-pressed', 'true');
    stage.classList.add('is-edited');
    for (const { link } of this.places) link.setAttribute('aria-describedby', 'hint');
    this.form.elements.component.focus();
  }

  /** Go back to what is kept. */
  leave() {
    if (this.isChanged) {
      this.isChanged = false;
      location.reload();
      return;
    }
    this.isOn = false;
    this.form.hidden = true;
    this.button.setAttribute('aria-pressed', 'false');
    stage.classList.remove('is-edited');
    this.choose(null);
    for (const { link } of this.places) link.removeAttribute('aria-describedby');
    this.button.focus();
  }

  choose(place) {
    this.chosen?.root.classList.remove('is-chosen');
    this.chosen = place;
    this.selected.disabled = place === null;
    const legend = this.selected.querySelector('legend');
    put(legend, place ? `${place.codifier} ${place.name}` : 'No value chosen');
    const { label, size, low, high } = this.form.elements;
    label.value = place?.label ?? '';
    label.placeholder = place?.name ?? '';
    size.value = place?.size ?? 'medium';
    low.value = place?.low ?? '';
    high.value = place?.high ?? '';
    place?.root.classList.add('is-chosen');
  }

  /** Take what was typed for the chosen value. */
  take() {
    const { chosen } = this;
    if (!chosen) return;
    const { label, size, low, high } = this.form.elements;
    chosen.label = label.value.trim();
    chosen.size = size.value;
    chosen.low = limit(low.value);
    chosen.high = limit(high.value);
    chosen.tell();
    this.isChanged = true;
  }

  grab(event) {
    const place = this.isOn && event.button === 0 ? this.of(event.target) : null;
    if (!place) return;
    event.preventDefault();
    place.link.focus({ preventScroll: true });
    this.choose(place);
    const box = stage.getBoundingClientRect();
    const offset = [event.clientX - place.x * box.width, event.clientY - place.y * box.height];
    const move = ({ clientX, clientY }) => {
      place.move((clientX - offset[0]) / box.width, (clientY - offset[1]) / box.height);
      this.isChanged = true;
    };
    const drop = () => {
      place.root.removeEventListener('pointermove', move);
      this.say(place);
    };
    place.root.setPointerCapture(event.pointerId);
    place.root.addEventListener('pointermove', move);
    place.root.addEventListener('lostpointercapture', drop, { once: true });
  }

  press(event) {
    const place = this.isOn ? this.of(event.target) : null;
    if (!place) return;
    if (event.key in ARROWS) {
      const step = event.shiftKey ? STEP / 10 : STEP;
      const [right, down] = ARROWS[event.key];
      place.move(place.x + right * step, place.y + down * step);
      this.isChanged = true;
      this.say(place);
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      this.takeAway();
    } else {
      return;
    }
    event.preventDefault();
  }

  say({ words, x, y }) {
    const part = (number) => `${Math.round(number * 100)} %`;
    put(where, `${words}: ${part(x)} from the left, ${part(y)} from above`);
  }

  /** Place another value, near the middle, where none lies exactly. */
  async add(codifier) {
    let at = 0.5;
    while (this.places.some((place) => place.x === at && place.y === at) && at < 0.9) at += 0.03;
    const option = this.form.elements.component.selectedOptions[0];
    const root = document.createElement('li');
    root.className = 'place';
    Object.assign(root.dataset, {
      codifier, x: at, y: at, label: '', size: 'medium', state: 'unseen',
      name: option.textContent.trim().slice(codifier.length + 1),
    });
    root.append(linkOf(codifier));
    document.getElementById('places').append(root);
    const place = new Place(root);
    place.tell();
    this.places.push(place);
    this.isChanged = true;
    place.link.focus();
    this.choose(place);
    this.say(place);
    try {
      const state = await request(`api/v1/states/${encodeURIComponent(codifier)}`);
      const { value, text, unit, status, reason } = state;
      place.show({ Value: value, Text: text, Unit: unit, State: status, Reason: reason });
    } catch (error) {
      toast(error.message, true);
    }
  }

  takeAway() {
    const { chosen } = this;
    if (!chosen) return;
    this.places.splice(this.places.indexOf(chosen), 1);
    chosen.root.remove();
    this.isChanged = true;
    put(where, `${chosen.words} is taken away`);
    this.choose(null);
    (this.places.at(-1)?.link ?? this.form.elements.component).focus();
  }

  async save() {
    const { number, version } = stage.dataset;
    await this.tell(request(`diagram/${number}`, {
      method: 'POST',
      body: {
        name: this.form.elements.name.value,
        places: this.places.map((place) => place.kept()),
        version: Number(version),
      },
    }));
  }

  async replace(file) {
    if (!file) return;
    if (this.isChanged) {
      toast('Save first, then choose another picture.', true);
      document.getElementById('picture').value = '';
      return;
    }
    await this.tell(request(`diagram/${stage.dataset.number}/picture`, {
      method: 'POST', body: file,
    }));
  }

  async remove() {
    if (!confirm('Remove this diagram and its picture for everybody?')) return;
    const path = `diagram/${stage.dataset.number}/remove`;
    await this.tell(request(path, { method: 'POST', body: {} }), `${ROOT}diagram`);
  }

  /** Load the page again when something is kept, else say why it is not. */
  async tell(asked, address = location.pathname) {
    try {
      await asked;
    } catch (error) {
      toast(error.message, true);
      return;
    }
    this.isChanged = false;
    location.assign(address);
  }
}

function linkOf(codifier) {
  const mark = element('span', { class: 'mark', 'aria-hidden': 'true' });
  const unit = element('span', { class: 'unit' });
  return element(
    'a',
    { href: `${ROOT}component/${encodeURIComponent(codifier)}`, 'aria-describedby': 'hint' },
    element('span', { class: 'label' }),
    element('span', { class: 'reading' }, icon('unseen'), mark, element('b', {}, '–'), ' ', unit),
    element('span', { class: 'unseen-text' }),
  );
}

function show() {
  const { width, height } = stage.dataset;
  stage.style.setProperty('--ratio', Number(width) / Number(height));
  stage.classList.add('is-fitted');
  const places = [...stage.querySelectorAll('.place')].map((root) => new Place(root));
  const known = new Set(places.filter(({ root }) => 'known' in root.dataset)
    .map(({ codifier }) => codifier));
  if (known.size) {
    connect((frame) => {
      for (const place of places) {
        const fields = frame.components[place.codifier];
        if (fields) place.show(fields);
      }
      showFrame(frame);
    }, [...known].map((codifier) => ['codifier', codifier]));
  } else {
    document.getElementById('connection').hidden = true;
  }
  if (document.getElementById('editor')) new Editor(places);
  if ('wall' in document.getElementById('main').dataset) {
    stayAwake();
    document.addEventListener('visibilitychange', stayAwake);
    addEventListener('keydown', (event) => {
      if (event.key === 'Escape') location.assign(location.pathname);
    });
  }
}

if (stage) show();

document.getElementById('upload')?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { name, picture } = event.target.elements;
  try {
    const query = new URLSearchParams({ name: name.value });
    const { address } = await request(`diagram?${query}`, {
      method: 'POST', body: picture.files[0],
    });
    location.assign(address);
  } catch (error) {
    toast(error.message, true);
  }
});
