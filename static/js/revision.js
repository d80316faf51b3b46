// One revision of the configuration, and the way back to it.

import { follow, save } from './settings/outcome.js';

const { number, newest, live } = document.getElementById('revision').dataset;

const back = document.getElementById('back');
if (back && !back.title) back.disabled = false; // the title says why it stays so
back?.addEventListener('click', async (event) => {
  const { target } = event;
  const to = Number(target.dataset.to);
  target.disabled = true;
  const saved = await save({
    base: Number(newest), revision: to, why: `back to revision ${to}`,
  });
  target.disabled = saved === null ? false : true;
});
document.getElementById('with').addEventListener('change', (event) => event.target.form.submit());
if (live !== undefined) follow(Number(number));
