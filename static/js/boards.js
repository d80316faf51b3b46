// The pages of ESP32 boards: cards as they change, and the switch of the LED.

const list = document.querySelector(".boards");
const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const anyDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

const names = new Intl.Collator("en", { numeric: true });

function showTimes(within) {
  for (const time of within.querySelectorAll("time[data-ms]")) {
    const at = new Date(Number(time.dataset.ms));
    const isToday = at.toDateString() === new Date().toDateString();
    time.textContent = (isToday ? today : anyDay).format(at);
    time.dateTime = at.toISOString();
  }
}

function word(value, yes, no) {
  return value === null ? "unknown" : value ? yes : no;
}

// The cards by MAC address: their parts, and the board that each shows. Hundreds of boards report
// every 2 s, so only what is not shown yet is written.
const cards = new Map();

function partsOf(card) {
  const part = (selector) => card.querySelector(selector);
  return {
    card,
    shown: {},
    name: part(".name"),
    rename: part(".rename"),
    forget: part(".forget"),
    input: part(".rename input[name=name]"),
    stage: part(".stage"),
    since: part(".state"),
    led: part(".led"),
    ledWord: part(".led .word"),
    button: part(".button .word"),
    light: part(".light .now"),
    values: part(".values"),
    bars: part(".bars path"),
  };
}

function newCard(board) {
  const card = document.querySelector("#card").content.firstElementChild.cloneNode(true);
  card.dataset.mac = board.mac;
  card.querySelector("details > p:last-child").textContent = board.mac;
  const behind = [...list.children].find((other) => names.compare(other.dataset.id, board.name) > 0);
  list.insertBefore(card, behind ?? null);
  const parts = partsOf(card);
  cards.set(board.mac, parts);
  return parts;
}

function remove(mac) {
  cards.get(mac)?.card.remove();
  cards.delete(mac);
}

function show(board) {
  if (board.forgotten) remove(board.mac);
  else fill(cards.get(board.mac) ?? newCard(board), board);
  tellOfNone();
}

function tellOfNone() {
  document.querySelector(".none").hidden = cards.size > 0;
}

function fill(parts, board) {
  const { card, shown } = parts;
  parts.shown = board;
  if (card.dataset.id !== board.name) {
    card.dataset.id = board.name;
    parts.name.textContent = board.name;
    const path = `/capteurs/${encodeURIComponent(board.name)}`;
    parts.rename.action = `${path}/name`;
    parts.forget.action = `${path}/forget`;
    parts.input.value = board.name;
  }
  if (shown.session !== board.session) card.dataset.sessionId = board.session;
  if (shown.connected !== board.connected) {
    card.dataset.connected = board.connected;
    parts.stage.textContent = board.connected ? "connected" : "not connected";
    parts.led.disabled = !board.connected;
  }
  if (shown.since_ms !== board.since_ms) {
    parts.since.querySelector("time").dataset.ms = board.since_ms;
    showTimes(parts.since);
  }
  if (shown.led !== board.led) {
    parts.led.setAttribute("aria-checked", Boolean(board.led));
    parts.ledWord.textContent = word(board.led, "on", "off");
  }
  if (shown.button !== board.button) {
    parts.button.textContent = word(board.button, "pressed", "released");
  }
  const light = board.light;
  if (shown.light?.join() !== light.join()) {
    parts.light.textContent = light.length ? `${light.at(-1)} %` : "unknown";
    parts.values.textContent = light.length ? `Last: ${light.join(" ")} %` : "";
    parts.bars.setAttribute("d", light.map(bar).join(""));
  }
}

function bar(value, place) {
  return `M${place}1 100v-${value}h8v${value}`;
}

async function switchLed(led) {
  const card = led.closest(".board");
  const said = card.querySelector(".said");
  const cmd = led.getAttribute("aria-checked") === "true" ? "0" : "1";
  const body = new URLSearchParams({ cmd, ssnid: card.dataset.sessionId });
  const headers = { "X-CSRF-Token": document.querySelector("meta[name=csrf-token]").content };
  led.setAttribute("aria-busy", "true");
  said.textContent = "";
  try {
    const path = `/led/${encodeURIComponent(card.dataset.id)}`;
    const answer = await fetch(path, { method: "POST", body, headers });
    if (answer.ok) show(await answer.json());
    else said.textContent = (await answer.text()).trim();
  } catch {
    said.textContent = "The gateway does not answer.";
  } finally {
    led.removeAttribute("aria-busy");
  }
}

function follow() {
  const connection = document.querySelector(".connection");
  const tell = (state, text) => {
    connection.dataset.connection = state;
    connection.querySelector(".word").textContent = text;
  };
  const stream = new EventSource("/live");
  stream.addEventListener("open", () => tell("live", "live"));
  stream.addEventListener("error", () => {
    tell("lost", "no connection");
    // A browser gives up for good where the answer is an error.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  });
  stream.addEventListener("message", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("boards", (event) => {
    const macs = new Set(JSON.parse(event.data));
    for (const mac of [...cards.keys()]) if (!macs.has(mac)) remove(mac);
    tellOfNone();
  });
}

showTimes(document);
if (list) {
  for (const card of list.children) cards.set(card.dataset.mac, partsOf(card));
  list.addEventListener("click", (event) => {
    const led = event.target.closest(".led");
    if (led) switchLed(led);
  });
  list.addEventListener("submit", (event) => {
    if (!event.target.matches(".forget")) return;
    const { id } = event.target.closest(".board").dataset;
    if (!window.confirm(`Forget ${id} and its values?`)) event.preventDefault();
  });
  follow();
}
