// Spans of the calendar in the viewer's zone: an hour, a day, a week, a month, a year. No page here.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How long a span is while it ends now. */
export const WIDTHS_MS = {
  live: 900_000, hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS, month: 30 * DAY_MS, year: 365 * DAY_MS,
};

const FORMATS = {
  hour: { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  day: { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' },
  week: { day: 'numeric', month: 'short', year: 'numeric' },
  month: { month: 'long', year: 'numeric' },
  year: { year: 'numeric' },
};

/** The first day of a week here: 1 for Monday, 7 for Sunday. */
function firstWeekday() {
  const locale = new Intl.Locale(navigator.language);
  return (locale.getWeekInfo?.() ?? locale.weekInfo)?.firstDay ?? 1;
}

/** When the hour, day, week, month or year that a time lies in begins. */
export function beginOf(unit, time_ms) {
  const date = new Date(time_ms);
  if (unit === 'hour' || unit === 'live') {
    // Not by setMinutes: where an hour comes twice, that may choose the other one.
    const past_ms = (date.getMinutes() * 60 + date.getSeconds()) * 1000 + date.getMilliseconds();
    return time_ms - past_ms;
  }
  date.setHours(0, 0, 0, 0);
  if (unit === 'week') date.setDate(date.getDate() - ((date.getDay() - firstWeekday() + 7) % 7));
  if (unit === 'month') date.setDate(1);
  if (unit === 'year') date.setMonth(0, 1);
  return date.getTime();
}

/** When the unit some steps after the one that begins at a time begins. */
export function shifted(unit, begin_ms, steps) {
  if (unit === 'hour' || unit === 'live') return begin_ms + steps * HOUR_MS;
  const date = new Date(begin_ms);
  if (unit === 'day') date.setDate(date.getDate() + steps);
  if (unit === 'week') date.setDate(date.getDate() + 7 * steps);
  if (unit === 'month') date.setMonth(date.getMonth() + steps, 1);
  if (unit === 'year') date.setFullYear(date.getFullYear() + steps, 0, 1);
  return date.getTime();
}

/** When the same unit of a year before begins; of a week, the one with the same weekdays. */
export function yearBefore(unit, begin_ms) {
  if (unit === 'week') return shifted('week', begin_ms, -52);
  const date = new Date(begin_ms);
  date.setFullYear(date.getFullYear() - 1);
  return beginOf(unit, date.getTime());
}

/** The name of the unit that begins at a time, such as October 2026. */
export function nameOf(unit, begin_ms) {
  const format = new Intl.DateTimeFormat(undefined, FORMATS[unit === 'live' ? 'hour' : unit]);
  const end_ms = shifted(unit, begin_ms, 1);
  if (unit === 'hour' || unit === 'live' || unit === 'week') return format.formatRange(begin_ms, end_ms - 1);
  return format.format(begin_ms);
}

/** A time as the value of a date field. */
export function dateField(time_ms) {
  const date = new Date(time_ms);
  const two = (number) => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The time at which the day of a date field begins here; NaN for an empty one. */
export function fromDateField(text) {
  const [year, month, day] = text.split('-').map(Number);
  return new Date(year, month - 1, day).getTime();
}

/** A duration in its two largest units. */
export function lasting(ms) {
  const seconds = Math.round(ms / 1000);
  const parts = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']];
  const place = parts.findIndex(([size]) => seconds >= size);
  if (place < 0) return ms > 0 ? 'under 1 s' : '0 s';
  const [size, unit] = parts[place];
  const rest = parts[place + 1] ? Math.floor((seconds % size) / parts[place + 1][0]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${parts[place + 1][1]}` : ''}`;
}

const THIS_DAY = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' });
const THIS_YEAR = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
});
const ANY_YEAR = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
});

/** A time as short as it can be told from others: without the day or the year where it is the present one. */
export function brief(time_ms) {
  const [date, now] = [new Date(time_ms), new Date()];
  if (date.toDateString() === now.toDateString()) return THIS_DAY.format(date);
  return (date.getFullYear() === now.getFullYear() ? THIS_YEAR : ANY_YEAR).format(date);
}
