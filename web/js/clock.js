// The server's clock, as seen from here: ages are right even where this machine's clock is not. One tick a second drives
// every counting number on the page.

let offsetMs = 0;
/** @type {Set<() => void>} */
const listeners = new Set();

/**
 * Learn the server's time from an answer.
 * @param {string} iso
 */
export function setClock(iso) {
  offsetMs = Date.parse(iso) - Date.now();
}

/** Milliseconds since the epoch, by the server. */
export function now() {
  return Date.now() + offsetMs;
}

/**
 * Seconds since a moment.
 * @param {string} iso
 */
export function since(iso) {
  return Math.max(0, (now() - Date.parse(iso)) / 1000);
}

/** @param {() => void} listener */
export function onTick(listener) {
  listeners.add(listener);
}

setInterval(() => {
  if (!document.hidden) for (const listener of listeners) listener();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const listener of listeners) listener();
});
