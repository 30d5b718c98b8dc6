// Puts new attempts on top of the log while it is looked at. Whoever has scrolled down, or is about to press something
// in the list, keeps their place: new rows then wait behind a button.
"use strict";

const EVERY_MS = 2000;
const ROWS_LIMIT = 500;

const button = document.getElementById("live");
const rows = document.getElementById("rows");
const fresh = document.getElementById("fresh");
const said = document.getElementById("fresh-said");
let waiting = new Map();
let timer = 0;

function shown() {
  return [...rows.querySelectorAll("tr[data-id]")];
}

// An attempt is logged when it ends, under the time at which it began: a slow one belongs below those that passed it.
function put(found) {
  for (const row of found) {
    const below = shown().find((each) => each.dataset.id < row.dataset.id);
    rows.insertBefore(row, below ?? rows.querySelector("tr.on"));
    row.classList.add("new");
  }
  document.getElementById("none")?.remove();
  shown().slice(ROWS_LIMIT).forEach((row) => row.remove());
}

function tell() {
  fresh.hidden = waiting.size === 0;
  fresh.textContent = said.textContent = waiting.size ? `${waiting.size} new` : "";
}

function isReading() {
  return scrollY > 0 || rows.contains(document.activeElement) || rows.matches(":hover");
}

function release() {
  put([...waiting.values()].sort((a, b) => (a.dataset.id < b.dataset.id ? -1 : 1)));
  waiting = new Map();
  tell();
}

async function look() {
  try {
    const response = await fetch(button.dataset.tail, { headers: { "HX-Request": "true" } });
    if (response.status === 401) return stop();
    if (response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const known = new Set(shown().map((row) => row.dataset.id));
      for (const row of page.querySelectorAll("tr[data-id]")) {
        if (!known.has(row.dataset.id)) waiting.set(row.dataset.id, document.importNode(row, true));
      }
      if (isReading()) tell(); else release();
    }
  } catch { /* the gateway is away for a moment; the next look may find it */ }
  if (button.getAttribute("aria-pressed") === "true") timer = setTimeout(look, document.hidden ? 10 * EVERY_MS : EVERY_MS);
}

function start() {
  button.setAttribute("aria-pressed", "true");
  sessionStorage.setItem("live", "on");
  look();
}

function stop() {
  clearTimeout(timer);
  button.setAttribute("aria-pressed", "false");
  sessionStorage.removeItem("live");
}

if (button && rows) {
  button.hidden = false;
  button.addEventListener("click", () => (button.getAttribute("aria-pressed") === "true" ? stop() : start()));
  fresh.addEventListener("click", () => { release(); scrollTo({ top: 0 }); });
  if (sessionStorage.getItem("live")) start();
}
