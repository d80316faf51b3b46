// The pages of ESP32 boards: cards as they change, and the switch of the LED.

const list = document.querySelector(".boards");
const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const anyDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

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

function cardOf(mac) {
  return list.querySelector(`[data-mac="${CSS.escape(mac)}"]`);
}

function newCard(board) {
  const card = document.querySelector("#card").content.firstElementChild.cloneNode(true);
  card.dataset.mac = board.mac;
  card.querySelector("details > p:last-child").textContent = board.mac;
  const behind = [...list.children].find((other) => other.dataset.id > board.name);
  list.insertBefore(card, behind ?? null);
  return card;
}

function show(board) {
  const known = cardOf(board.mac);
  if (board.forgotten) {
    known?.remove();
  } else {
    fill(known ?? newCard(board), board);
  }
  document.querySelector(".none").hidden = list.children.length > 0;
}

function fill(card, board) {
  if (card.dataset.id !== board.name) {
    card.dataset.id = board.name;
    card.querySelector(".name").textContent = board.name;
    const path = `/capteurs/${encodeURIComponent(board.name)}`;
    card.querySelector(".rename").action = `${path}/name`;
    card.querySelector(".forget").action = `${path}/forget`;
    card.querySelector(".rename input").value = board.name;
  }
  card.dataset.sessionId = board.session;
  card.dataset.connected = board.connected;
  card.querySelector(".stage").textContent = board.connected ? "connected" : "not connected";
  card.querySelector(".state time").dataset.ms = board.since_ms;
  const led = card.querySelector(".led");
  led.disabled = !board.connected;
  led.setAttribute("aria-checked", Boolean(board.led));
  led.querySelector(".word").textContent = word(board.led, "on", "off");
  card.querySelector(".button .word").textContent = word(board.button, "pressed", "released");
  const light = board.light;
  card.querySelector(".light .now").textContent = light.length ? `${light.at(-1)} %` : "unknown";
  card.querySelector(".values").textContent = light.length ? `Last: ${light.join(" ")} %` : "";
  card.querySelector(".bars").replaceChildren(...light.map(bar));
  showTimes(card);
}

function bar(value, place) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const all = { x: place * 10 + 1, width: 8, y: 40 - value * 0.4, height: value * 0.4 };
  for (const [name, number] of Object.entries(all)) rect.setAttribute(name, number);
  return rect;
}

async function switchLed(led) {
  const card = led.closest(".board");
  const said = card.querySelector(".said");
  const cmd = led.getAttribute("aria-checked") === "true" ? "0" : "1";
  const body = new URLSearchParams({ cmd, ssnid: card.dataset.sessionId });
  led.setAttribute("aria-busy", "true");
  said.textContent = "";
  try {
    const path = `/led/${encodeURIComponent(card.dataset.id)}`;
    const answer = await fetch(path, { method: "POST", body });
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
    for (const card of [...list.children]) if (!macs.has(card.dataset.mac)) card.remove();
    document.querySelector(".none").hidden = list.children.length > 0;
  });
}

showTimes(document);
if (list) {
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
