// The data of a chart as a table: there for screen readers, and shown to everybody who asks for it.

/** Put a table of texts into an element; `numeric` names the columns that stand to the right. */
export function fillTable(place, caption, heads, rows, numeric = []) {
  const table = document.createElement('table');
  table.className = 'data';
  const title = table.createCaption();
  title.className = 'unseen-text';
  title.textContent = caption;
  const head = table.createTHead().insertRow();
  heads.forEach((text, column) => {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.textContent = text;
    if (numeric.includes(column)) cell.className = 'number';
    head.append(cell);
  });
  const body = table.createTBody();
  for (const texts of rows) {
    const row = body.insertRow();
    texts.forEach((text, column) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (numeric.includes(column)) cell.className = 'number';
    });
  }
  place.replaceChildren(table);
}

/** Have the buttons with data-table show and hide their tables. */
export function letShowTables(root) {
  for (const button of root.querySelectorAll('[data-table]')) {
    const place = document.getElementById(button.dataset.table);
    button.setAttribute('aria-controls', place.id);
    button.addEventListener('click', () => {
      const isShown = !place.classList.toggle('unseen-text');
      button.setAttribute('aria-expanded', String(isShown));
      button.textContent = isShown ? 'Hide table' : 'Show as table';
      if (isShown) place.tabIndex = 0; // it scrolls
      else place.removeAttribute('tabindex');
    });
  }
}
