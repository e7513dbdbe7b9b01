// Numbers, spans and names as people read them. Pure functions of their arguments; prices stay text, so no digit is lost.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/**
 * A span as text whose width hardly changes while it counts: "4 s", "1 m 05 s", "2 h 03 m", "3 d 4 h".
 * @param {number} seconds
 * @returns {string}
 */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} m ${pad(whole % MINUTE)} s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h ${pad(Math.floor((whole % HOUR) / MINUTE))} m`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

/**
 * A finished span; short ones with a tenth: "0.4 s", "12 s".
 * @param {number} seconds
 */
export function took(seconds) {
  return seconds < 10 ? `${(Math.round(seconds * 10) / 10).toString()} s` : span(Math.round(seconds));
}

/**
 * A limit, without what is zero: "1 m", "1 h 30 m".
 * @param {number} seconds
 */
export function limit(seconds) {
  return span(seconds).replace(/ 0\d? [a-z]$/, (rest) => (/[1-9]/.test(rest) ? rest : ""));
}

/** @param {number} seconds */
export function ago(seconds) {
  return seconds < 1 ? "just now" : `${span(seconds)} ago`;
}

/** @param {number} value */
function pad(value) {
  return String(value).padStart(2, "0");
}

/**
 * Groups thousands and keeps as many places as help: two for thousands, more for small numbers.
 * @param {string | null} price exact decimal
 * @returns {string}
 */
export function price(price) {
  if (price === null) return "–";
  const negative = price.startsWith("-");
  const [whole, places = ""] = price.replace(/^[-+]/, "").split(".");
  const kept = places.slice(0, placesFor(whole, places)).padEnd(Math.min(2, placesFor(whole, places)), "0");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return `${negative ? "−" : ""}${grouped}${kept ? `.${kept}` : ""}`;
}

/**
 * @param {string} whole
 * @param {string} places
 */
function placesFor(whole, places) {
  if (whole.length >= 4) return 2;
  if (whole !== "0") return 4;
  const zeros = places.match(/^0*/)?.[0].length ?? 0;
  return Math.min(places.length, zeros + 5);
}

/**
 * "0.5213" as "+0.52 %".
 * @param {string | null} text
 * @param {{ sign?: boolean }} [options]
 */
export function percent(text, { sign = true } = {}) {
  if (text === null) return "–";
  const value = Number(text);
  const rounded = Math.abs(value).toFixed(2);
  const zero = Number(rounded) === 0;
  const mark = zero ? "" : value < 0 ? "−" : sign ? "+" : "";
  return `${mark}${rounded} %`;
}

/**
 * "0x12345678…cdef"
 * @param {string} hash
 */
export function short(hash) {
  return hash.length > 16 ? `${hash.slice(0, 8)}…${hash.slice(-4)}` : hash;
}

/** @param {string} digits */
export function grouped(digits) {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/**
 * Local date and time to the second, with the zone.
 * @param {string} iso
 */
export function moment(iso) {
  return new Date(iso).toLocaleString(undefined, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });
}

/**
 * "one message", "3 messages"
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return count === 1 ? `1 ${noun}` : `${grouped(String(count))} ${noun}s`;
}

/** @param {string} word */
export function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
