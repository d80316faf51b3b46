// Messages to this browser, also while no page is open (Web Push).

import { ROOT } from './live.js';
import { request, toast } from './request.js';

const byId = (id) => document.getElementById(id);

const bytes = (text) => Uint8Array.from(
  atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0),
);

async function subscription() {
  const worker = await navigator.serviceWorker.getRegistration(`${ROOT}static/js/`);
  return worker ? worker.pushManager.getSubscription() : null;
}

function show(current) {
  byId('push-toggle').textContent = current ? 'Do not tell this device' : 'Tell this device';
  byId('push-words').textContent = current
    ? 'Messages reach this browser, also while no page is open.'
    : 'This browser can be told, also while no page is open.';
}

async function begin(key) {
  if (await Notification.requestPermission() !== 'granted') {
    throw new Error('This browser does not let these pages show messages; allow it in its settings.');
  }
  const worker = await navigator.serviceWorker.register(`${ROOT}static/js/push-worker.js`);
  await navigator.serviceWorker.ready.catch(() => {});
  const made = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
  await request('alerts/push', { method: 'POST', body: { subscription: made.toJSON(), root: ROOT } });
  return made;
}

async function end(current) {
  await request('alerts/push/remove', { method: 'POST', body: { endpoint: current.endpoint } });
  await current.unsubscribe();
}

/** Offer to tell this browser, where browser and server can do that. */
export async function installPush() {
  const panel = byId('push');
  if (!panel || !isSecureContext || !('serviceWorker' in navigator) || !('PushManager' in globalThis)) return;
  let key;
  let current;
  try {
    ({ key } = await request('alerts/push'));
    if (!key) return;
    current = await subscription();
  } catch {
    return;
  }
  panel.hidden = false;
  show(current);
  byId('push-toggle').addEventListener('click', async (event) => {
    event.target.setAttribute('aria-busy', 'true');
    try {
      if (current) await end(current);
      current = current ? null : await begin(key);
      show(current);
      toast(current ? 'This device is told.' : 'This device is not told any more.');
    } catch (error) {
      toast(error.message, true);
    } finally {
      event.target.removeAttribute('aria-busy');
    }
  });
}
