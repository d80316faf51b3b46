// The board by keyboard: one tab stop, arrow keys from card to card, M for the actions of one.

function below(links, from, step) {
  const box = from.closest('.card').getBoundingClientRect();
  const middle = box.left + box.width / 2;
  let best = null;
  let least = Infinity;
  for (const link of links) {
    const other = link.closest('.card').getBoundingClientRect();
    const down = (other.top - box.top) * step;
    if (down > box.height / 2) {
      // Rows count first, then how far it is to the side.
      const far = down * 1000 + Math.abs(other.left + other.width / 2 - middle);
      if (far < least) [best, least] = [link, far];
    }
  }
  return best;
}

export function install(root) {
  root.addEventListener('focusin', ({ target }) => {
    const link = target.closest('.card')?.querySelector('h3 a');
    if (!link) return;
    for (const other of root.querySelectorAll('h3 a[tabindex="0"]')) other.tabIndex = -1;
    link.tabIndex = 0;
  });
  root.addEventListener('keydown', (event) => {
    const link = event.target.closest('h3 a');
    if (!link || event.ctrlKey || event.altKey || event.metaKey) return;
    const links = [...root.querySelectorAll('h3 a')];
    const place = links.indexOf(link);
    const leads = {
      ArrowRight: () => links[place + 1],
      ArrowLeft: () => links[place - 1],
      ArrowDown: () => below(links, link, 1),
      ArrowUp: () => below(links, link, -1),
      Home: () => links[0],
      End: () => links.at(-1),
    };
    if (event.key in leads) {
      event.preventDefault();
      leads[event.key]()?.focus();
    } else if (event.key === 'm' || event.key === 'M' || event.key === 'ContextMenu') {
      const more = link.closest('.card').querySelector('.more');
      if (!more) return;
      event.preventDefault();
      more.click();
    }
  });
}
