// Executing messages of OP Stack interop, at #/interop: how many there are of each verdict, and the newest that are not valid. One
// of them with its history is in the drawer, at #/interop/902:0x…:0. The section shows itself where interop is configured.

import { getExecuting, getExecutingCounts, getExecutingMessage } from "./api.js";
import { since } from "./clock.js";
import { byId, copyable, h, icon, KeyedList, setAttr, setText } from "./dom.js";
import { FactList } from "./drawer.js";
import * as format from "./format.js";

/** @typedef {import("./api.js").Executing} Executing */
/** @typedef {import("./api.js").ExecutingDetails} ExecutingDetails */

const FIRST_ROWS = 10;
const MORE_ROWS = 50;
const MOST_ROWS = 200; // as many as the API gives at once; older ones are for the API
const INTEROP_ROUTE = /^#\/interop$/;

/** @type {Record<string, { word: string, icon: keyof typeof import("./icons.js").ICONS, tone: string, title: string }>} */
const VERDICTS = {
  invalid: { word: "Invalid", icon: "cross", tone: "bad", title: "What they name is not there, or the rules forbid it" },
  timestamp_mismatch: { word: "Wrong time", icon: "alert", tone: "bad", title: "The log is there; its block has another time" },
  expired: { word: "Expired", icon: "clock", tone: "bad", title: "Executed after the end of the window" },
  unknown: { word: "Undecided", icon: "clock", tone: "warn", title: "Not decided yet" },
  valid: { word: "Valid", icon: "check", tone: "good", title: "True and in time; not yet final on both chains" },
};
const LEVELS = { unsafe: "not safe yet", safe: "safe", finalized: "final" };

export class Interop {
  constructor() {
    this.section = byId("interop");
    this.counts = byId("interop-counts");
    this.empty = byId("interop-empty");
    this.more = byId("interop-more");
    this.rows = FIRST_ROWS;
    this.watched = false;
    /** @type {KeyedList<Executing>} */
    this.list = new KeyedList(byId("interop-list"), (item) => item.id, () => new ExecutingRow());
    this.more.addEventListener("click", () => {
      this.rows = Math.min(this.rows + MORE_ROWS, MOST_ROWS);
      void this.reload().catch(() => undefined); // the next round brings them
    });
    addEventListener("hashchange", () => {
      if (INTEROP_ROUTE.test(location.hash)) void this.reload().then(() => this.follow(), () => undefined);
    });
  }

  /** @param {import("./api.js").Status} status */
  notice(status) {
    this.watched = status.interop;
  }

  async reload() {
    if (!this.watched) return;
    const [counts, page] = await Promise.all([getExecutingCounts(), getExecuting(this.rows)]);
    const appeared = this.section.hidden;
    this.section.hidden = false;
    this.counts.replaceChildren(...chips(counts.totals));
    this.list.show(page.items);
    this.empty.hidden = page.items.length > 0;
    this.more.hidden = !page.next || this.rows >= MOST_ROWS;
    if (appeared) this.follow();
  }

  /** Where the address names the section, it is brought into view. */
  follow() {
    if (INTEROP_ROUTE.test(location.hash) && !this.section.hidden) this.section.scrollIntoView({ block: "start" });
  }

  tick() {
    this.list.tick();
  }
}

/** @param {Record<string, number>} totals */
function chips(totals) {
  return Object.entries(VERDICTS).map(([status, verdict]) => {
    const count = totals[status] ?? 0;
    const loud = count > 0 && verdict.tone !== "good";
    return h("li", { class: "state", "data-tone": count ? verdict.tone : "quiet", title: verdict.title }, ...(loud ? [icon(verdict.icon)] : []), h("strong", {}, format.grouped(String(count))), ` ${status === "valid" ? "valid, not final yet" : verdict.word.toLowerCase()}`);
  });
}

class ExecutingRow {
  constructor() {
    this.state = h("span", { class: "state" });
    this.link = h("a", { class: "executing-link" });
    this.sub = h("p", { class: "quiet executing-sub" });
    this.when = h("span", { class: "quiet" });
    this.level = h("span", { class: "flag" });
    this.element = h("li", { class: "executing" }, this.state, h("div", { class: "executing-what" }, this.link, this.sub), h("div", { class: "executing-when" }, this.level, this.when));
    this.at = "";
  }

  /** @param {Executing} item */
  update(item) {
    this.at = item.executing.block_at;
    showVerdict(this.state, item);
    setAttr(this.link, "href", `#/interop/${item.id}`);
    setText(this.link, format.capital(item.detail || item.rule || VERDICTS[item.status].title));
    setText(this.sub, `${item.executing.chain.label} block ${format.grouped(item.executing.block)}, log ${item.executing.log_index}, names ${item.initiating.chain.label} block ${format.grouped(item.initiating.block)}, log ${item.initiating.log_index}`);
    setText(this.level, item.executing.level === "unsafe" ? "" : LEVELS[item.executing.level]);
    this.tick();
  }

  tick() {
    setText(this.when, format.ago(since(this.at)));
  }
}

/**
 * @param {HTMLElement} element
 * @param {Executing} item
 */
function showVerdict(element, item) {
  const verdict = VERDICTS[item.status];
  const words = item.retracted ? `${verdict.word}, retracted` : verdict.word;
  if (element.dataset.shown === words) return;
  element.dataset.shown = words;
  setAttr(element, "data-tone", item.retracted ? "gone" : verdict.tone);
  setAttr(element, "title", verdict.title);
  element.replaceChildren(icon(item.retracted ? "back" : verdict.icon), words);
}

/** @implements {import("./drawer.js").Subject} */
export class ExecutingSubject {
  name = "executing message";
  title = "Executing message";
  route = /^#\/interop\/([0-9]+:0x[0-9a-f]{64}:[0-9]+)$/i;
  read = getExecutingMessage;

  tick() {}

  /** @param {ExecutingDetails} item */
  show(item) {
    const state = h("span", { class: "state state-large" });
    showVerdict(state, item);
    return [
      h("div", { class: "drawer-lead" }, state, h("p", { class: "drawer-lane" }, item.initiating.chain.label, icon("arrow"), item.executing.chain.label)),
      h("p", { class: "alert-text" }, format.capital(item.detail || VERDICTS[item.status].title), item.rule ? h("span", { class: "quiet" }, ` (${item.rule})`) : ""),
      h("h3", {}, "Executed"),
      executed(item),
      h("h3", {}, "What it names"),
      named(item),
      h("h3", {}, "Verdict"),
      judged(item),
      h("h3", {}, "History"),
      h("ol", { class: "history" }, ...item.history.map(step)),
    ];
  }
}

/** @param {ExecutingDetails} item */
function executed(item) {
  const list = new FactList();
  const { executing } = item;
  list.add("Chain", executing.chain.label);
  list.add("Block", `${format.grouped(executing.block)}, log ${executing.log_index}`);
  list.add("Time", format.moment(executing.block_at));
  list.add("Safety", format.capital(LEVELS[executing.level]));
  list.add("Transaction", code("transaction hash", executing.tx));
  list.add("Block hash", code("block hash", executing.block_hash));
  list.add("Declared", item.declared === null ? null : item.declared ? "yes, in its access list" : "no: the inbox should have refused it");
  return list.element;
}

/** @param {ExecutingDetails} item */
function named(item) {
  const list = new FactList();
  const { initiating } = item;
  const seconds = Number(initiating.timestamp);
  const known = seconds < 253402300800; // later years cannot be told
  list.add("Chain", initiating.chain.label);
  list.add("Block", `${format.grouped(initiating.block)}, log ${initiating.log_index}`);
  list.add("Time", known ? `${initiating.timestamp} (${format.moment(new Date(seconds * 1000).toISOString())})` : initiating.timestamp);
  list.add("Origin", code("origin", initiating.origin));
  list.add("Payload hash", code("payload hash", initiating.payload));
  list.add("Read from", initiating.block_hash && code("initiating block hash", initiating.block_hash));
  return list.element;
}

/** @param {ExecutingDetails} item */
function judged(item) {
  const list = new FactList();
  list.add("Stays", item.settled ? "yes: it is final" : "until a reorganisation or a look says otherwise");
  list.add("Last look", item.stale ? "could not confirm it" : null);
  list.add("Changed", item.changed ? "it was called valid at one time and not valid at another" : null);
  list.add("Window", item.boundary ? "executed in its very last second" : null);
  list.add("Incident", item.incident === null ? null : `#${item.incident}`);
  list.add("First seen", format.moment(item.seen_at));
  list.add("Decided", item.decided_at && format.moment(item.decided_at));
  return list.element;
}

/** @param {import("./api.js").Thought} thought */
function step(thought) {
  const word = VERDICTS[thought.step]?.word ?? format.capital(thought.step);
  return h("li", {}, h("strong", {}, word), thought.detail ? `: ${thought.detail}` : "", " · ", h("time", { class: "quiet", datetime: thought.at }, format.moment(thought.at)));
}

/**
 * @param {string} label
 * @param {string} value
 */
function code(label, value) {
  const part = copyable(label);
  part.set(value, format.short(value));
  return part.element;
}
