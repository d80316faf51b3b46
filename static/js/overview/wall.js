// The wall: the board alone, as large as fits on the screen, which stays awake.

const LEAST = 7; // px: from here on the wall scrolls
const LEAST_TILES = 9; // px: below, rows are larger
const MOST = 40;
const GAP = 8; // px, below the board

let lock = null;

/** Keep the screen on, where the browser allows that; it ends when the page is hidden. */
export async function stayAwake() {
  if (lock || document.hidden || !navigator.wakeLock) return;
  try {
    lock = await navigator.wakeLock.request('screen');
    lock.addEventListener('release', () => { lock = null; });
  } catch { /* the battery is low, or the page is not on HTTPS: the screen goes to sleep */ }
}

export class Wall {
  constructor(board, { onEnter, onLeave }) {
    this.board = board;
    this.main = document.getElementById('main');
    this.clock = document.getElementById('clock');
    this.leaving = document.getElementById('leave-wall');
    this.isOn = false;
    this.isFree = true; // to choose between tiles and rows
    document.getElementById('enter-wall').addEventListener('click', () => {
      document.documentElement.requestFullscreen?.().catch(() => {});
      onEnter();
    });
    this.leaving.addEventListener('click', onLeave);
    document.addEventListener('fullscreenchange', () => {
      if (this.isOn && !document.fullscreenElement) onLeave();
    });
    document.addEventListener('keydown', (event) => {
      if (this.isOn && event.key === 'Escape' && !event.target.closest('.menu, dialog')) onLeave();
    });
    document.addEventListener('visibilitychange', () => { if (this.isOn) stayAwake(); });
    addEventListener('resize', () => this.fit());
    setInterval(() => this.tick(), 1_000);
  }

  show(isOn) {
    if (isOn === this.isOn) return;
    this.isOn = isOn;
    this.main.toggleAttribute('data-wall', isOn);
    this.clock.hidden = !isOn;
    this.leaving.hidden = !isOn;
    if (isOn) {
      stayAwake();
      this.tick();
    } else {
      lock?.release();
      if (document.fullscreenElement) document.exitFullscreen();
      this.board.style.removeProperty('font-size');
    }
  }

  tick() {
    if (!this.isOn) return;
    const now = new Date();
    const text = now.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
    if (this.clock.textContent !== text) this.clock.textContent = text;
  }

  /** Choose the largest letters with which all cards are on the screen. */
  fit() {
    if (!this.isOn) return;
    if (this.isFree) this.use('tiles');
    if (this.grow() < LEAST_TILES && this.isFree) {
      this.use('rows');
      this.grow();
    }
  }

  use(view) {
    this.board.classList.toggle('is-rows', view === 'rows');
    this.board.classList.toggle('is-tiles', view === 'tiles');
  }

  grow() {
    const { board } = this;
    const room = innerHeight - GAP - (board.getBoundingClientRect().top + scrollY);
    let [low, high] = [LEAST, MOST];
    const fits = (size) => {
      board.style.fontSize = `${size}px`;
      return board.scrollHeight <= room && board.scrollWidth <= board.clientWidth;
    };
    while (high - low > 0.25) {
      const middle = (low + high) / 2;
      if (fits(middle)) low = middle;
      else high = middle;
    }
    board.style.fontSize = `${low}px`;
    return low;
  }
}
