// The live stream of the server, kept open for as long as someone looks at the page.

const QUIET_MS = 40_000; // the server speaks every 15 s; after this the connection is dead
const HIDDEN_MS = 30_000; // browsers allow six connections to one server, so hidden tabs let go
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 15_000;

const RECENT_MS = 30_000; // so long a time that the server told counts

let offset_ms = 0; // the server's clock minus ours
let recent = []; // [when the server told its time, how much that was ahead of our clock], in ms

/** Where this site begins; a reverse proxy may have put it below a path. */
export const ROOT = new URL('../../', import.meta.url).pathname;

/** The time by the server's clock, in ms. */
export const serverNow = () => Date.now() + offset_ms;

/**
 * Take the time by the server's clock, which it has just told.
 *
 * It was right when it was sent, and a busy machine takes it late: of the last ones, the one that
 * was taken soonest counts, so that ages do not jump.
 */
export function setNow(now_ms) {
  const here_ms = performance.now();
  recent = recent.filter(([at_ms]) => here_ms - at_ms < RECENT_MS);
  recent.push([here_ms, now_ms - Date.now()]);
  offset_ms = Math.max(...recent.map(([, ahead_ms]) => ahead_ms));
}

/**
 * Open the stream and keep it open.
 *
 * onData(frame, isSnapshot) is called with each event; where the connection was only interrupted,
 * the first event after it carries everything in between. The scope is the query of /live.
 */
export function connect(onData, scope) {
  const label = document.getElementById('connection');
  let source = null;
  let last = '';
  let heard = 0;
  let retry = FIRST_RETRY_MS;
  let timer = 0;
  let hidden = 0;

  const show = (state, text) => {
    if (!label || label.dataset.connection === state) return;
    label.dataset.connection = state;
    label.lastElementChild.textContent = text;
    document.body.classList.toggle('is-stale', state === 'lost');
  };

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };

  const again = () => {
    close();
    show('lost', 'Reconnecting');
    timer = setTimeout(open, retry * (0.75 + Math.random() / 2));
    retry = Math.min(retry * 1.7, LAST_RETRY_MS);
  };

  const take = (event) => {
    heard = Date.now();
    retry = FIRST_RETRY_MS;
    last = event.lastEventId;
    const frame = JSON.parse(event.data);
    setNow(frame.now);
    const layout = document.getElementById('main').dataset.layout;
    if (layout && frame.layout && frame.layout !== layout) {
      location.reload(); // other components, or other names for them
      return;
    }
    show('live', 'Live');
    if (frame.alerts) dispatchEvent(new CustomEvent('jph:alerts', { detail: frame.alerts }));
    onData(frame, event.type === 'snapshot');
  };

  function open() {
    close();
    const query = new URLSearchParams(scope);
    if (last) query.set('last', last);
    heard = Date.now();
    source = new EventSource(`${ROOT}live?${query}`);
    source.addEventListener('snapshot', take);
    source.addEventListener('change', take);
    source.addEventListener('heartbeat', () => { heard = Date.now(); });
    // Not left to the browser: it gives up for good after an answer such as 503.
    source.addEventListener('error', again);
  }

  setInterval(() => {
    if (source && Date.now() - heard > QUIET_MS) again();
  }, 5_000);
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(close, HIDDEN_MS);
    } else if (!source) {
      retry = FIRST_RETRY_MS;
      open();
    }
  });
  addEventListener('online', () => { if (label?.dataset.connection === 'lost') open(); });
  addEventListener('pagehide', close);
  addEventListener('pageshow', (event) => { if (event.persisted) open(); });
  open();
}
