// Moving and zooming a chart: wheel, dragging with the shift key, one finger, two fingers, keys.
// Dragging without the shift key marks a span to zoom to, which the chart itself does.

const LEAST_MS = 1_000;
const MOST_MS = 50 * 366 * 86_400_000;
const SETTLE_MS = 150; // after the last movement finer data is loaded

/**
 * Let a chart be moved. `spanOf()` returns what is shown, [from_ms, to_ms]; `onMove(from, to)` is called
 * with each movement, at most once for each picture; `onEnd()` when it is over, and `onReset()` for the
 * keys that lead back.
 */
export function letMove(place, plotOf, { spanOf, onMove, onEnd, onReset }) {
  const fingers = new Map(); // pointer -> its place from left
  let wanted = null;
  let frame = 0;
  let settling = 0;

  function move(from, to) {
    const width = to - from;
    if (!(width >= LEAST_MS && width <= MOST_MS)) return;
    wanted = [from, to];
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      onMove(...wanted.map(Math.round));
      wanted = null;
    });
    clearTimeout(settling);
    settling = setTimeout(onEnd, SETTLE_MS);
  }

  const span = () => wanted ?? spanOf();
  const box = () => plotOf().over.getBoundingClientRect();

  function pan(share) {
    const [from, to] = span();
    move(from + share * (to - from), to + share * (to - from));
  }

  function zoom(factor, share = 0.5) {
    const [from, to] = span();
    const fixed = from + share * (to - from);
    move(fixed - (fixed - from) * factor, fixed + (to - fixed) * factor);
  }

  place.addEventListener('wheel', (event) => {
    const { left, width } = box();
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) { // also what a touchpad says when two fingers spread
      event.preventDefault();
      zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 150), (event.clientX - left) / width);
    } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      event.preventDefault();
      pan(sideways / width);
    }
  }, { passive: false });

  place.addEventListener('pointerdown', (event) => {
    const isMouse = event.pointerType === 'mouse';
    if (isMouse && !(event.shiftKey && event.button === 0)) return;
    if (isMouse) place.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.clientX);
  });
  place.addEventListener('pointermove', (event) => {
    const before = fingers.get(event.pointerId);
    if (before === undefined) return;
    const { left, width } = box();
    const others = [...fingers].filter(([id]) => id !== event.pointerId);
    fingers.set(event.pointerId, event.clientX);
    if (others.length === 0) {
      pan((before - event.clientX) / width);
    } else { // the time below each finger stays there
      const still = others[0][1];
      const [from, to] = span();
      const timeAt = (x) => from + ((x - left) / width) * (to - from);
      const distance = event.clientX - still;
      if (Math.abs(distance) < 10 || Math.sign(distance) !== Math.sign(before - still)) return;
      const scale = (timeAt(before) - timeAt(still)) / distance;
      const begin = timeAt(still) - (still - left) * scale;
      move(begin, begin + width * scale);
    }
  });
  for (const name of ['pointerup', 'pointercancel']) {
    place.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }

  const keys = {
    ArrowLeft: ({ shiftKey }) => pan(shiftKey ? -1 : -0.25),
    ArrowRight: ({ shiftKey }) => pan(shiftKey ? 1 : 0.25),
    '+': () => zoom(0.5),
    '=': () => zoom(0.5),
    '-': () => zoom(2),
    0: onReset,
    Escape: onReset,
  };
  place.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key](event);
  });
}
