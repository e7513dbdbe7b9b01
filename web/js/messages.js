// The list of messages: kept sorted newest first, filtered by the server (state, lane, protocol) and here (text).

import { getMessages } from "./api.js";
import { since } from "./clock.js";
import { announce, byId, copyable, h, icon, KeyedList, setAttr, setText } from "./dom.js";
import * as format from "./format.js";
import { doing, lookOf, protocolOf, Stepper, waitingSince } from "./stepper.js";

/** @typedef {import("./api.js").Message} Message */

const FIRST_ROWS = 10;
const LOADED = 200; // as many as the API gives at once; older ones are for the API
const MAX_IDS = 50;

export class Messages {
  constructor() {
    /** @type {Map<string, Message>} */
    this.known = new Map();
    this.visible = FIRST_ROWS;
    this.loaded = false;
    this.generation = 0;
    this.container = byId("messages");
    this.empty = byId("messages-empty");
    this.more = byId("messages-more");
    this.stage = /** @type {HTMLSelectElement} */ (byId("filter-stage"));
    this.lane = /** @type {HTMLSelectElement} */ (byId("filter-lane"));
    this.protocol = /** @type {HTMLSelectElement} */ (byId("filter-protocol"));
    this.text = /** @type {HTMLInputElement} */ (byId("filter-text"));
    /** @type {KeyedList<Message>} */
    this.list = new KeyedList(this.container, (message) => message.id, () => new MessageRow());
    this.more.addEventListener("click", () => {
      this.visible = this.visible < 50 ? 50 : LOADED;
      this.show();
    });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const select of [this.stage, this.lane, this.protocol]) select.addEventListener("change", () => void this.reload());
    let typing = 0;
    this.text.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => void this.search(), 150);
    });
  }

  /** The server-side part of the filter. */
  query() {
    const query = new URLSearchParams();
    for (const stage of this.stage.value.split(" ").filter(Boolean)) query.append("stage", stage);
    if (this.lane.value) {
      const [source, destination] = JSON.parse(this.lane.value);
      query.append("source", source);
      query.append("destination", destination);
    }
    if (this.protocol.value) query.append("protocol", this.protocol.value);
    query.append("limit", String(LOADED));
    return query;
  }

  /** Load what matches, anew. */
  async reload() {
    const generation = ++this.generation;
    const { items } = await getMessages(this.query());
    if (generation !== this.generation) return; // the filter changed meanwhile
    this.known = new Map(items.map((message) => [message.id, message]));
    this.loaded = true;
    this.list.filled = false; // a first load or another filter does not animate
    this.show();
  }

  /**
   * Some messages changed: fetch those alone.
   * @param {string[]} ids
   */
  async refresh(ids) {
    if (ids.length > MAX_IDS || !this.loaded) return this.reload();
    const generation = this.generation;
    const query = this.query();
    for (const id of ids) query.append("id", id);
    const { items } = await getMessages(query);
    if (generation !== this.generation) return;
    for (const id of ids) {
      if (!items.some((message) => message.id === id)) this.known.delete(id);
    }
    for (const message of items) {
      const before = this.known.get(message.id);
      this.known.set(message.id, message);
      if (before && before.state === "in_flight" && message.state !== "in_flight") {
        announce(`Message ${format.short(message.id)}: ${doing(message)}`);
      }
    }
    this.show();
  }

  /** A whole id or transaction hash is asked of the server too: it may be older than what is loaded. */
  async search() {
    const text = this.text.value.trim().toLowerCase();
    this.show();
    if (!/^0x[0-9a-f]{64}$/.test(text)) return;
    for (const name of ["id", "tx"]) {
      const { items } = await getMessages(new URLSearchParams({ [name]: text, limit: "50" }));
      for (const message of items) this.known.set(message.id, message);
    }
    this.show();
  }

  show() {
    const text = this.text.value.trim().toLowerCase();
    const all = [...this.known.values()].sort(newestFirst);
    const found = text ? all.filter((message) => haystack(message).includes(text)) : all;
    this.list.show(found.slice(0, this.visible));
    this.container.removeAttribute("aria-busy");
    this.empty.hidden = found.length > 0;
    if (!found.length) this.explainEmpty();
    this.more.hidden = found.length <= this.visible;
    setText(this.more, `Show ${Math.min(found.length, this.visible < 50 ? 50 : LOADED) - this.visible} more`);
    const moving = found.filter((message) => message.state === "in_flight").length;
    const count = found.length >= LOADED ? `newest ${LOADED}` : format.plural(found.length, "message");
    setText(byId("messages-count"), found.length ? `${count} · ${moving} in flight` : "");
  }

  explainEmpty() {
    const filtered = this.stage.value || this.lane.value || this.protocol.value || this.text.value;
    const words = filtered
      ? ["No message matches", "Change or clear the filter to see the others."]
      : ["No messages yet", "A message appears here the moment its send is seen on the source chain. Each price update that goes to another chain makes one."];
    const parts = [h("p", { class: "empty-title" }, words[0]), h("p", { class: "quiet" }, words[1])];
    if (filtered) {
      const clear = h("button", { type: "button", class: "button" }, "Clear the filter");
      clear.addEventListener("click", () => {
        /** @type {HTMLFormElement} */ (byId("filters")).reset();
        void this.reload();
      });
      parts.push(/** @type {any} */ (clear));
    }
    this.empty.replaceChildren(...parts);
  }

  /** @param {import("./api.js").LaneState[]} lanes */
  showLanes(lanes) {
    const chosen = this.lane.value;
    const options = lanes.map(({ lane }) => {
      const value = JSON.stringify([lane.source.selector ?? lane.source.key, lane.destination.selector ?? lane.destination.key]);
      return /** @type {[string, string]} */ ([value, `${lane.source.label} → ${lane.destination.label}`]);
    });
    const protocols = new Set(lanes.map((lane) => lane.protocol));
    for (const option of this.protocol.options) option.hidden = option.value !== "" && !protocols.has(option.value);
    const shown = protocols.size > 1 || this.protocol.value !== "";
    /** @type {HTMLElement} */ (this.protocol.parentElement).hidden = !shown;
    const wanted = [["", "All lanes"], ...new Map(options)];
    if (wanted.length === this.lane.options.length) return;
    this.lane.replaceChildren(...wanted.map(([value, label]) => h("option", { value }, label)));
    this.lane.value = chosen;
  }

  tick() {
    this.list.tick();
  }
}

/**
 * @param {Message} one
 * @param {Message} other
 */
function newestFirst(one, other) {
  const [a, b] = [one.sent_at ?? one.updated_at, other.sent_at ?? other.updated_at];
  if (a !== b) return a < b ? 1 : -1;
  const [x, y] = [BigInt(one.sequence ?? 0), BigInt(other.sequence ?? 0)];
  return x === y ? (one.id < other.id ? -1 : 1) : x < y ? 1 : -1;
}

/** @param {Message} message */
function haystack(message) {
  const { source, destination } = message.lane;
  const parts = [message.id, message.sender, message.receiver, message.feed, message.sequence === null ? "" : `#${message.sequence}`, protocolOf(message), doing(message), source.label, destination.label];
  return [...parts, ...message.stages.map((stage) => stage.tx), message.failure?.text].join(" ").toLowerCase();
}

class MessageRow {
  constructor() {
    this.source = h("span");
    this.destination = h("span");
    this.link = h("a", { class: "msg-link" }, this.source, icon("arrow"), this.destination);
    this.carries = h("span", { class: "msg-sub quiet" });
    this.stepper = new Stepper();
    this.state = h("span", { class: "state" });
    this.flag = h("span", { class: "flag" });
    this.time = h("span", { class: "msg-time quiet" });
    this.id = copyable("message id");
    this.when = h("span", { class: "msg-when quiet" });
    this.element = h(
      "li",
      { class: "msg" },
      h("div", { class: "msg-lane" }, this.link, this.carries),
      this.stepper.element,
      h("div", { class: "msg-state" }, h("div", { class: "msg-now" }, this.state, this.flag), this.time),
      h("div", { class: "msg-id" }, this.id.element, this.when),
    );
    /** @type {Message | null} */
    this.message = null;
  }

  /** @param {Message} message */
  update(message) {
    this.message = message;
    setText(this.source, message.lane.source.label);
    setText(this.destination, message.lane.destination.label);
    setAttr(this.link, "href", `#/messages/${message.id}`);
    setAttr(this.link, "aria-label", `Message ${format.short(message.id)}, ${message.lane.source.label} to ${message.lane.destination.label}, ${doing(message)}`);
    const carried = message.feed && `${message.feed}${message.round ? ` round ${message.round}` : ""}`;
    setText(this.carries, [protocolOf(message), message.sequence && `#${message.sequence}`, carried].filter(Boolean).join(" · "));
    const [flag, why] = flagOf(message);
    setText(this.flag, flag);
    setAttr(this.flag, "title", why || undefined);
    setAttr(this.element, "data-state", message.state);
    this.stepper.update(message);
    showMessageState(this.state, message);
    this.id.set(message.id, format.short(message.id));
    this.tick();
  }

  tick() {
    const message = this.message;
    if (!message) return;
    this.stepper.tick();
    const waits = waitingSince(message);
    if (waits) setText(this.time, `for ${format.span(since(waits))}`);
    else if (message.failure) setText(this.time, message.failure.text);
    else if (message.state === "retracted") setText(this.time, "its send left the chain");
    else setText(this.time, message.total_seconds === null ? "" : `in ${format.took(message.total_seconds)}`);
    setAttr(this.time, "title", message.failure?.text);
    setText(this.when, message.sent_at === null ? "" : format.ago(since(message.sent_at)));
    setAttr(this.when, "title", message.sent_at === null ? undefined : `Sent ${format.moment(message.sent_at)}`);
  }
}

/**
 * What is odd beside the state, in a word and in a sentence.
 * @param {Message} message
 * @returns {[string, string]}
 */
export function flagOf(message) {
  if (message.late) return ["late", "It should have got further by now"];
  if (message.callback === false && message.state === "succeeded") return ["not called", "Delivered, but the receiver's code did not run"];
  return ["", ""];
}

/**
 * State as icon, colour and words.
 * @param {HTMLElement} element
 * @param {Message} message
 */
export function showMessageState(element, message) {
  const text = doing(message);
  if (element.dataset.shown === text) return;
  element.dataset.shown = text;
  const { tone, icon: name } = lookOf(message);
  setAttr(element, "data-tone", tone);
  element.replaceChildren(icon(name), text);
}
