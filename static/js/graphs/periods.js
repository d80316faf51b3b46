// Spans of time that people name: 1h, 1d, 1w, 1M, 1y. Days and longer ones follow the calendar of the
// viewer, so that a day before a change of the clock has 23 or 25 hours.

const FIXED = { s: 1_000, m: 60_000, h: 3_600_000 };
const DAYS = { d: 1, w: 7 };
const MONTHS = { M: 1, y: 12 };
const WORDS = { s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week', M: 'month', y: 'year' };
const MOST = 10_000;

/** The count and the unit of a period such as 2w, null if it is none. */
export function parsePeriod(text) {
  const [, digits, unit] = /^(\d{1,5})([smhdwMy])$/.exec(text ?? '') ?? [];
  const count = Number(digits);
  return unit && count > 0 && count <= MOST ? [count, unit] : null;
}

/** A time that lies some periods after another one; before it, where they are negative. */
export function shift(ms, period, times) {
  const [count, unit] = parsePeriod(period);
  const steps = count * times;
  if (unit in FIXED) return ms + steps * FIXED[unit];
  const date = new Date(ms);
  if (unit in DAYS) {
    date.setDate(date.getDate() + steps * DAYS[unit]);
    return date.getTime();
  }
  const day = date.getDate();
  date.setDate(1);
  date.setMonth(date.getMonth() + steps * MONTHS[unit]);
  const last = new Date(date.getFullYear(), date.getMonth() + 1, 0).getDate();
  date.setDate(Math.min(day, last)); // 31 March and a month less is the end of February
  return date.getTime();
}

/** A period in words, such as `2 weeks`. */
export function wordsOf(period) {
  const [count, unit] = parsePeriod(period);
  return count === 1 ? WORDS[unit] : `${count} ${WORDS[unit]}s`;
}

/** A time as a field of the type datetime-local takes it. */
export function toField(ms) {
  const date = new Date(ms);
  const two = (number) => String(number).padStart(2, '0');
  const day = `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
