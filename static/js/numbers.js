// Numbers as the locale of the browser writes them: its decimal sign, its groups, its digits.
//
// The server chooses how many digits a value has, and writes them as 1.50, -0.3 with a true minus
// sign, or 12 345 with narrow spaces. Here that text becomes the one that the viewer expects.

const WRITTEN = /^(\u2212?)([\d\u202f]+)(?:\.(\d+))?(?:e([+\u2212-]?\d+))?$/;
const formats = new Map();

function format(places, grouping) {
  const key = `${places} ${grouping}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat(undefined, {
      minimumFractionDigits: places, maximumFractionDigits: places, useGrouping: grouping,
    }));
  }
  return formats.get(key);
}

const signed = (text) => text.replace('-', '\u2212');

/** A number that the server wrote; any other text stays as it is. */
export function localNumber(text) {
  const match = WRITTEN.exec(text);
  if (!match) return text;
  const [, sign, whole, rest = '', exponent] = match;
  const plain = Number(`${sign ? '-' : ''}${whole.replaceAll('\u202f', '')}.${rest || 0}`);
  const shown = signed(format(rest.length, whole.includes('\u202f') ? 'always' : false).format(plain));
  return exponent === undefined ? shown : `${shown}e${exponent}`;
}

// In a sentence, a number with decimal places that stands alone; not a part of a version, a time, or an address.
const DECIMAL = /(?<![^\s(])[-\u2212]?\d+\.\d+(?:e[+-]\d+)?(?![^\s),;:.!?%°]|[.:]\d)/gu;

/** A sentence of the server with its numbers; the name in it, if there is one, stays as it is. */
export function inSentence(text, name = '') {
  const begin = name ? text.indexOf(name) : -1;
  if (begin < 0) return text.replace(DECIMAL, (number) => localNumber(signed(number).replace('e\u2212', 'e-')));
  const end = begin + name.length;
  return `${inSentence(text.slice(0, begin))}${name}${inSentence(text.slice(end))}`;
}

/** A number with all its digits, without groups. */
export function exact(value) {
  const text = String(value);
  if (text.includes('e')) return text;
  return signed(format(text.split('.')[1]?.length ?? 0, false).format(value));
}

/** A number with so many decimal places. */
export function rounded(value, places = 0) {
  return signed(format(places, 'min2').format(value));
}
