// One menu for all cards: it moves into the card whose button was pressed.

import { send } from './commands.js';

const menu = document.createElement('div');
menu.className = 'menu';
menu.setAttribute('role', 'menu');
menu.hidden = true;
let opener = null;

function close(giveFocus = false) {
  if (!opener) return;
  menu.hidden = true;
  opener.setAttribute('aria-expanded', 'false');
  if (giveFocus) opener.focus();
  opener = null;
}

function open(button) {
  const card = button.closest('.card');
  const { codifier, target, halted } = card.dataset;
  const toWhom = target === codifier ? '' : ` ${target}`;
  const items = [['P', `Ping${toWhom}`]];
  if (card.dataset.steady === undefined) {
    items.push(halted === 'yes' ? ['S', `Start${toWhom}`] : ['H', `Halt${toWhom}`]);
  }
  items.push(['C', `Reload${toWhom}`]);
  menu.replaceChildren(...items.map(([flag, label]) => {
    const item = document.createElement('button');
    item.type = 'button';
    item.setAttribute('role', 'menuitem');
    item.dataset.flag = flag;
    item.textContent = label;
    return item;
  }));
  card.append(menu);
  menu.hidden = false;
  opener = button;
  button.setAttribute('aria-expanded', 'true');
  menu.firstElementChild.focus();
}

export function install() {
  document.addEventListener('click', (event) => {
    const button = event.target.closest('.more');
    const item = event.target.closest('.menu [role=menuitem]');
    if (button) {
      const isOpen = button === opener;
      close();
      if (!isOpen) open(button);
    } else if (item) {
      const { target } = item.closest('.card').dataset;
      const { flag } = item.dataset;
      close(true);
      send(target, flag);
    } else {
      close();
    }
  });
  menu.addEventListener('keydown', (event) => {
    const items = [...menu.children];
    const place = items.indexOf(document.activeElement);
    const steps = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: items.length - 1 };
    if (event.key in steps) {
      event.preventDefault();
      items.at(steps[event.key] % items.length).focus();
    } else if (event.key === 'Escape') {
      close(true);
    } else if (event.key === 'Tab') {
      close();
    }
  });
}
