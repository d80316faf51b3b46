// One menu for all cards, beside the button that was pressed.

import { send } from './commands.js';

const EDGE = 8; // px, between the menu and the edge of the window

const menu = document.createElement('div');
menu.className = 'menu';
menu.setAttribute('role', 'menu');
menu.hidden = true;
let opener = null;
let before = null; // what had the focus

function close(giveFocus = false) {
  if (!opener) return;
  menu.hidden = true;
  opener.setAttribute('aria-expanded', 'false');
  if (giveFocus) (before?.isConnected ? before : opener).focus({ preventScroll: true });
  opener = null;
}

function itemsOf({ codifier, target, halted, steady, set }) {
  const toWhom = target === codifier ? '' : ` ${target}`;
  const items = set === undefined ? [] : [['A', 'Set a value']];
  items.push(['P', `Ping${toWhom}`]);
  if (steady === undefined) items.push(halted === 'yes' ? ['S', `Start${toWhom}`] : ['H', `Halt${toWhom}`]);
  items.push(['C', `Reload${toWhom}`]);
  return items;
}

/** Below the button, or above it where there is no room. */
function place(button) {
  const box = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const left = Math.max(EDGE, Math.min(box.right - width, document.documentElement.clientWidth - width - EDGE));
  const isBelow = box.bottom + height + EDGE <= innerHeight;
  menu.style.left = `${left + scrollX}px`;
  menu.style.top = `${(isBelow ? box.bottom : box.top - height) + scrollY}px`;
}

function open(button) {
  const card = button.closest('.card');
  menu.replaceChildren(...itemsOf(card.dataset).map(([flag, label]) => {
    const item = document.createElement('button');
    item.type = 'button';
    item.setAttribute('role', 'menuitem');
    item.dataset.flag = flag;
    item.textContent = label;
    return item;
  }));
  menu.setAttribute('aria-label', button.getAttribute('aria-label'));
  before = document.activeElement;
  opener = button;
  menu.hidden = false;
  place(button);
  button.setAttribute('aria-expanded', 'true');
  menu.firstElementChild.focus({ preventScroll: true });
}

/** Let the buttons of the cards open it; `ask(card)` asks for a value to set. */
export function install(ask) {
  document.body.append(menu);
  document.addEventListener('click', (event) => {
    const button = event.target.closest('.more');
    const item = event.target.closest('.menu [role=menuitem]');
    if (button) {
      const isOpen = button === opener;
      close();
      if (!isOpen) open(button);
    } else if (item) {
      const card = opener.closest('.card');
      const { flag } = item.dataset;
      close(true);
      if (flag === 'A') ask(card);
      else send(card.dataset.target, flag);
    } else {
      close();
    }
  });
  menu.addEventListener('keydown', (event) => {
    const items = [...menu.children];
    const at = items.indexOf(document.activeElement);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key in steps) {
      event.preventDefault();
      items.at(steps[event.key] % items.length).focus();
    } else if (event.key === 'Escape') {
      close(true);
    } else if (event.key === 'Tab') {
      close(true); // and from there to the next
    }
  });
}
