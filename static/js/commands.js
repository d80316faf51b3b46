// Commands to components, and what became of them.

import { inSentence, rounded } from './numbers.js';
import { request, toast } from './request.js';

/**
 * Send a command, A with a number, and say what became of it.
 *
 * Resolves when that is known, to whether it is done, and the words.
 */
export async function send(codifier, flag, number) {
  let answer;
  try {
    answer = await request('command', { method: 'POST', body: { codifier, flag, number } });
  } catch (error) {
    toast(error.message, true);
    return { isDone: false, text: error.message };
  }
  let text = `${codifier} ${inSentence(answer.outcome)}.`;
  if (flag === 'P' && answer.done) {
    const ms = answer.round_trip_ms;
    text = `${codifier} ${answer.outcome} after ${rounded(ms, ms < 10 ? 2 : 0)} ms.`;
  }
  toast(text, !answer.done);
  return { isDone: answer.done, text };
}

/** Send with a button that cannot be pressed again until it is over. */
export async function press(button, codifier, flag, number) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    await send(codifier, flag, number);
  } finally {
    button.removeAttribute('aria-busy');
  }
}
