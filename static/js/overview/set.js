// A value to set, with a slider where the configuration has both limits.

import { send } from '../commands.js';
import { element } from '../elements.js';
import { exact } from '../numbers.js';

const steps = (low, high) => 10 ** Math.floor(Math.log10((high - low) / 50));

/** Ask for a value of the component of a card, and tell it; the dialog stays where that failed. */
export function ask(card, title, present) {
  const { codifier, low, high, unit } = card.dataset;
  const number = element('input', {
    type: 'number', name: 'number', step: 'any', required: '', min: low, max: high, 'aria-label': `Value to set${unit && `, ${unit}`}`,
  });
  const fields = element('p', { class: 'fields' }, number, element('span', {}, unit));
  if (Number.isFinite(present)) number.value = String(Number(present.toPrecision(7)));
  const hint = element('p', { class: 'quiet', role: 'status' });
  const [from, to] = [low, high].map((limit) => exact(Number(limit)));
  if (low !== '' && high !== '' && Number(high) > Number(low)) {
    const slider = element('input', {
      type: 'range', min: low, max: high, step: steps(Number(low), Number(high)), 'aria-label': `Value to set, from ${from} to ${to}`,
    });
    slider.value = number.value || low;
    slider.addEventListener('input', () => { number.value = slider.value; });
    number.addEventListener('input', () => { slider.value = number.value; });
    fields.prepend(slider);
    hint.textContent = `From ${from} to ${to}${unit && ` ${unit}`}.`;
  } else if (low !== '') {
    hint.textContent = `${from} or more.`;
  } else if (high !== '') {
    hint.textContent = `${to} or less.`;
  }
  const set = element('button', { type: 'submit', class: 'action main' }, 'Set');
  const leave = element('button', { type: 'button', class: 'action' }, 'Cancel');
  const form = element(
    'form',
    {},
    element('h2', {}, title),
    fields,
    hint,
    element('p', { class: 'buttons' }, leave, set),
  );
  const dialog = element('dialog', { class: 'setter', 'aria-label': `Set ${title}` }, form);
  leave.addEventListener('click', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    set.disabled = true;
    const { isDone, text } = await send(codifier, 'A', number.valueAsNumber);
    set.disabled = false;
    hint.textContent = text; // the dialog stands before all else
    if (isDone) dialog.close();
  });
  dialog.addEventListener('close', () => {
    dialog.remove();
    card.querySelector('h3 a').focus({ preventScroll: true });
  });
  document.body.append(dialog);
  dialog.showModal();
  number.select();
}
