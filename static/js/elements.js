// Elements made by scripts. Whatever comes from outside is a child or an attribute, never markup.

const SVG = 'http://www.w3.org/2000/svg';

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** An element with these attributes and children; a text is a child. */
export const element = (name, attributes = {}, ...children) => filled(
  document.createElement(name),
  attributes,
  children,
);

/** The same for a part of a drawing. */
export const svgElement = (name, attributes = {}, ...children) => filled(
  document.createElementNS(SVG, name),
  attributes,
  children,
);

/** The sign of a state, one of those in base.html. */
export const icon = (state) => svgElement(
  'svg',
  { class: 'icon', 'aria-hidden': 'true' },
  svgElement('use', { href: `#i-${state}` }),
);
