// What is wrong now: one calm line, or a strip that counts by severity and names the worst, with the open alerts below it. What
// another alert explains is counted there and does not speak for itself.

import { ApiError, getAlerts } from "./api.js";
import { since } from "./clock.js";
import { announce, byId, h, icon, KeyedList, setAttr, setText } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./api.js").Alert} Alert */

const FIRST_ROWS = 3;
const KEPT_OPEN = "seamark.alerts"; // whether a person has the list open
const WIDE = "(min-width: 901px)"; // where there is room for the list without being asked

/** @type {Record<string, { word: string, rank: number, icon: keyof typeof import("./icons.js").ICONS, tone: string }>} */
export const SEVERITIES = {
  critical: { word: "Critical", rank: 0, icon: "alert", tone: "bad" },
  warning: { word: "Warning", rank: 1, icon: "alert", tone: "warn" },
  info: { word: "Info", rank: 2, icon: "info", tone: "active" },
};

/** @type {Record<string, { word: string, rank: number, icon: keyof typeof import("./icons.js").ICONS, tone: string, text: string }>} */
export const STANDINGS = {
  firing: { word: "Firing", rank: 0, icon: "alert", tone: "", text: "Nobody has it yet" },
  acknowledged: { word: "Acknowledged", rank: 1, icon: "person", tone: "active", text: "Somebody has it" },
  silenced: { word: "Silenced", rank: 2, icon: "mute", tone: "quiet", text: "It holds, and nobody is told" },
  folded: { word: "Explained", rank: 3, icon: "fold", tone: "quiet", text: "Another alert explains it" },
  resolved: { word: "Resolved", rank: 4, icon: "check", tone: "good", text: "It is over" },
};

export class Alerts {
  constructor() {
    this.section = byId("alerts");
    this.calm = byId("alerts-calm");
    this.box = /** @type {HTMLDetailsElement} */ (byId("alerts-box"));
    this.counts = byId("alerts-counts");
    this.worst = byId("alerts-worst");
    this.more = byId("alerts-more");
    this.all = false;
    /** @type {Alert[]} */
    this.items = [];
    /** @type {Set<number> | null} */
    this.known = null;
    /** @type {KeyedList<Alert>} */
    this.list = new KeyedList(byId("alerts-list"), (alert) => String(alert.id), () => new AlertRow());
    this.box.open = kept() ?? matchMedia(WIDE).matches;
    this.box.querySelector("summary")?.addEventListener("click", () => keep(!this.box.open));
    this.more.addEventListener("click", () => {
      this.all = true;
      this.show();
    });
  }

  async reload() {
    try {
      this.items = (await getAlerts()).items;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      this.section.hidden = true; // this server keeps no alerts
      return;
    }
    this.section.hidden = false;
    this.tell();
    this.show();
  }

  /** New alerts are said aloud, except on the first look. */
  tell() {
    const fresh = this.items.filter((alert) => alert.state === "firing" && this.known && !this.known.has(alert.id));
    if (fresh.length) announce(`Alert: ${fresh.map((alert) => alert.title).join("; ")}`);
    this.known = new Set(this.items.map((alert) => alert.id));
  }

  show() {
    const present = new Set(this.items.map((alert) => alert.id));
    const shown = this.items.filter((alert) => alert.state !== "folded" || !present.has(alert.folded_under ?? 0)).sort(worstFirst);
    const firing = shown.filter((alert) => alert.state === "firing");
    this.calm.hidden = shown.length > 0;
    this.box.hidden = shown.length === 0;
    this.calm.replaceChildren(icon("check"), h("span", {}, "All clear"), h("span", { class: "quiet" }, "No alert is open."));
    setAttr(this.section, "data-tone", firing.length ? SEVERITIES[firing[0].severity].tone : shown.length ? "held" : "calm");
    this.counts.replaceChildren(...summary(firing, shown));
    const worst = firing[0] ?? shown[0];
    setText(this.worst, worst ? worst.title : "");
    this.list.show(this.all ? shown : shown.slice(0, FIRST_ROWS));
    this.more.hidden = this.all || shown.length <= FIRST_ROWS;
    setText(this.more, `Show ${shown.length - FIRST_ROWS} more`);
    document.title = firing.length ? `(${firing.length}) Seamark` : "Seamark";
  }

  tick() {
    this.list.tick();
  }
}

/**
 * @param {Alert} one
 * @param {Alert} other
 */
function worstFirst(one, other) {
  return (
    STANDINGS[one.state].rank - STANDINGS[other.state].rank ||
    SEVERITIES[one.severity].rank - SEVERITIES[other.severity].rank ||
    (one.since < other.since ? 1 : one.since > other.since ? -1 : other.id - one.id)
  );
}

/**
 * "1 critical", "2 warnings"; and what fires no more because somebody has it.
 * @param {Alert[]} firing
 * @param {Alert[]} shown
 */
function summary(firing, shown) {
  const parts = [];
  for (const [name, { icon: mark, tone }] of Object.entries(SEVERITIES)) {
    const count = firing.filter((alert) => alert.severity === name).length;
    if (!count) continue;
    const words = name === "warning" ? format.plural(count, "warning") : `${count} ${name}`;
    parts.push(h("span", { class: "state", "data-tone": tone }, icon(mark), words));
  }
  const held = shown.length - firing.length;
  if (held) parts.push(h("span", { class: "quiet" }, firing.length ? `${held} in hand or silenced` : `${format.plural(held, "alert")}, in hand or silenced`));
  return parts;
}

class AlertRow {
  constructor() {
    this.severity = h("span", { class: "state alert-severity" });
    this.link = h("a", { class: "msg-link alert-link" });
    this.group = h("span", { class: "quiet" });
    this.explains = h("span", { class: "quiet" });
    this.standing = h("span", { class: "state" });
    this.stale = h("span", { class: "flag", title: "Who reported it has been silent for too long" });
    this.count = h("span", { class: "alert-count" });
    this.since = h("span", { class: "quiet" });
    this.element = h(
      "li",
      { class: "alert" },
      this.severity,
      h("div", { class: "alert-what" }, this.link, h("p", { class: "alert-sub" }, this.group, this.explains)),
      h("div", { class: "alert-standing" }, this.standing, this.stale),
      h("div", { class: "alert-when" }, this.since, this.count),
    );
    /** @type {Alert | null} */
    this.alert = null;
  }

  /** @param {Alert} alert */
  update(alert) {
    this.alert = alert;
    setAttr(this.element, "data-state", alert.state);
    setAttr(this.link, "href", `#/alerts/${alert.id}`);
    setText(this.link, alert.title);
    setText(this.group, alert.group);
    setText(this.explains, alert.folded ? ` · explains ${alert.folded} more` : "");
    showSeverity(this.severity, alert);
    showStanding(this.standing, alert);
    setText(this.stale, alert.stale ? "unconfirmed" : "");
    setText(this.count, alert.count > 1 ? `×${format.grouped(String(alert.count))}` : "");
    setAttr(this.count, "title", `It is about ${alert.count}`);
    this.tick();
  }

  tick() {
    if (!this.alert) return;
    setText(this.since, `for ${format.span(since(this.alert.since))}`);
    setAttr(this.since, "title", `Since ${format.moment(this.alert.since)}`);
  }
}

/**
 * @param {HTMLElement} element
 * @param {Alert} alert
 */
export function showSeverity(element, alert) {
  if (element.dataset.shown === alert.severity) return;
  element.dataset.shown = alert.severity;
  const { word, icon: mark, tone } = SEVERITIES[alert.severity];
  setAttr(element, "data-tone", tone);
  element.replaceChildren(icon(mark), word);
}

/**
 * @param {HTMLElement} element
 * @param {Alert} alert
 */
export function showStanding(element, alert) {
  const { word, icon: mark, tone, text } = STANDINGS[alert.state];
  const words = alert.state === "acknowledged" && alert.acknowledged ? `${alert.acknowledged.who} has it` : word;
  if (element.dataset.shown === words) return;
  element.dataset.shown = words;
  setAttr(element, "data-tone", tone || SEVERITIES[alert.severity].tone);
  setAttr(element, "title", alert.acknowledged?.why || text);
  element.replaceChildren(...(alert.state === "firing" ? [] : [icon(mark)]), words);
}

/** @returns {boolean | null} */
function kept() {
  try {
    const value = localStorage.getItem(KEPT_OPEN);
    return value === null ? null : value === "open";
  } catch {
    return null; // storage is forbidden here
  }
}

/** @param {boolean} open */
function keep(open) {
  try {
    localStorage.setItem(KEPT_OPEN, open ? "open" : "closed");
  } catch {
    // Not kept for the next visit where storage is forbidden; that is all.
  }
}
