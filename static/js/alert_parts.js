// What pages of alerts have in common.

/** How long people snooze: [seconds, words]. */
export const WAITS = [
  [900, 'for 15 minutes'], [3_600, 'for 1 hour'], [14_400, 'for 4 hours'],
  [43_200, 'for 12 hours'], [86_400, 'for 1 day'], [604_800, 'for 1 week'],
];

/** A severity as a word with its sign. */
export function severity(word) {
  const made = document.createElement('span');
  made.className = 'severity';
  made.dataset.severity = word;
  made.textContent = word;
  return made;
}
