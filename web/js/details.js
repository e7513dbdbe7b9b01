// One message with all its evidence, in a drawer of its own address: #/messages/0x…

import { ApiError, getMessage } from "./api.js";
import { since } from "./clock.js";
import { byId, copyable, h, icon, setText } from "./dom.js";
import * as format from "./format.js";
import { showMessageState } from "./messages.js";
import { STATES, waitingSince } from "./stepper.js";

/** @typedef {import("./api.js").MessageDetails} MessageDetails */

const ROUTE = /^#\/messages\/(0x[0-9a-f]{64})$/i;
const WORDS = { sent: "Sent", finalized: "Finalized", committed: "Committed", executed: "Executed" };

export class Details {
  constructor() {
    this.dialog = /** @type {HTMLDialogElement} */ (byId("details"));
    /** @type {string | null} */
    this.id = null;
    /** @type {MessageDetails | null} */
    this.message = null;
    /** @type {HTMLElement | null} */
    this.waiting = null;
    addEventListener("hashchange", () => void this.follow());
    this.dialog.addEventListener("close", () => {
      this.id = null;
      this.message = null;
      if (ROUTE.test(location.hash)) history.replaceState(null, "", "#/");
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // the backdrop
    });
  }

  /** Open or close as the address says. */
  async follow() {
    const id = ROUTE.exec(location.hash)?.[1].toLowerCase() ?? null;
    if (id === null) {
      if (this.dialog.open) this.dialog.close();
      return;
    }
    this.id = id;
    this.frame([h("p", { class: "skeleton-note drawer-note" }, "Reading the message…")]);
    if (!this.dialog.open) this.dialog.showModal();
    await this.load();
  }

  /**
   * Something happened to these messages.
   * @param {string[]} ids
   */
  async refresh(ids) {
    if (this.id !== null && ids.includes(this.id)) await this.load();
  }

  async load() {
    const id = this.id;
    if (id === null) return;
    try {
      const message = await getMessage(id);
      if (this.id === id) this.show(message);
    } catch (error) {
      if (this.id !== id) return;
      const text = error instanceof ApiError ? format.capital(error.message) : "The message could not be read; it is tried again when the connection is back.";
      this.frame([h("p", { class: "drawer-note" }, text), h("code", { class: "mono drawer-id" }, id)]);
    }
  }

  tick() {
    const waits = this.message && waitingSince(this.message);
    if (waits && this.waiting) setText(this.waiting, format.span(since(waits)));
  }

  /** @param {MessageDetails} message */
  show(message) {
    const focused = this.dialog.contains(document.activeElement) ? document.activeElement?.getAttribute("data-focus") : null;
    const top = this.dialog.scrollTop;
    this.message = message;
    this.waiting = null;
    const state = h("span", { class: "state state-large" });
    showMessageState(state, message);
    const id = copyable("message id");
    id.set(message.id, message.id);
    this.frame([
      h("div", { class: "drawer-lead" }, state, h("p", { class: "drawer-lane" }, message.lane.source.label, icon("arrow"), message.lane.destination.label)),
      h("div", { class: "drawer-id" }, id.element),
      ...this.failure(message),
      h("h3", {}, "Journey"),
      this.way(message),
      h("h3", {}, "Facts"),
      facts(message),
      ...evidence(message),
      ...transitions(message),
    ]);
    this.dialog.scrollTop = top;
    if (focused) /** @type {HTMLElement | null} */ (this.dialog.querySelector(`[data-focus="${focused}"]`))?.focus();
    this.tick();
  }

  /** @param {(Node | string)[]} children */
  frame(children) {
    const close = h("button", { type: "button", class: "icon-button", "aria-label": "Close", "data-focus": "close" }, icon("cross"));
    close.addEventListener("click", () => this.dialog.close());
    this.dialog.replaceChildren(h("div", { class: "drawer-head" }, h("h2", { id: "details-title" }, "Message"), close), h("div", { class: "drawer-body" }, ...children));
  }

  /** @param {MessageDetails} message */
  failure(message) {
    if (message.state === "retracted") {
      return [note("gone", "back", "Retracted", "The block that held the send left the chain in a reorganisation. If the transaction is mined again, the message comes back once.")];
    }
    if (!message.failure) return [];
    const box = note("bad", "cross", "Failed on the destination", format.capital(message.failure.text));
    if (message.failure.raw) {
      const raw = copyable("returned data");
      raw.set(message.failure.raw, message.failure.raw.length > 90 ? `${message.failure.raw.slice(0, 90)}…` : message.failure.raw);
      box.append(h("p", { class: "note-raw" }, h("span", { class: "quiet" }, "Returned data "), raw.element));
    }
    return [box];
  }

  /** @param {MessageDetails} message */
  way(message) {
    return h("ol", { class: "way" }, ...message.stages.map((stage, index) => this.step(message, stage, index)));
  }

  /**
   * @param {MessageDetails} message
   * @param {import("./api.js").Stage} stage
   * @param {number} index
   */
  step(message, stage, index) {
    const mark = { done: "check", current: "check", failed: "cross", retracted: "back" }[/** @type {string} */ (stage.state)];
    const chain = index < 2 ? message.lane.source : message.lane.destination;
    const head = h("p", { class: "way-head" }, h("strong", {}, stage.state === "failed" ? "Failed" : WORDS[stage.name]));
    const body = h("div", { class: "way-body" }, head);
    if (stage.at !== null) {
      if (stage.seconds !== null && index > 0) head.append(h("span", { class: "way-took" }, `after ${format.took(stage.seconds)}`));
      const block = stage.block === null ? "" : ` · ${chain.label} block ${format.grouped(stage.block)}`;
      body.append(h("p", { class: "quiet" }, format.moment(stage.at), block));
    } else if (stage.state === "done") body.append(h("p", { class: "quiet" }, "passed; nobody saw when"));
    else if (message.stages[index - 1]?.state === "current") {
      this.waiting = h("span", { class: "way-took" });
      head.append(h("span", { class: "quiet" }, "awaited for"), this.waiting);
      if (!message.destination_watched && index > 1) body.append(h("p", { class: "quiet" }, "The destination chain is not watched, so this stays unknown."));
    }
    if (stage.tx) {
      const tx = copyable(`${stage.name} transaction hash`);
      tx.set(stage.tx, stage.tx);
      body.append(h("p", {}, tx.element));
    }
    const node = h("span", { class: "step-node" }, ...(mark ? [icon(/** @type {any} */ (mark))] : []));
    return h("li", { "data-look": stage.state === "current" ? "done" : stage.state }, node, body);
  }
}

/**
 * @param {string} tone
 * @param {any} name
 * @param {string} title
 * @param {string} text
 */
function note(tone, name, title, text) {
  return h("div", { class: "note", "data-tone": tone }, icon(name), h("div", {}, h("p", { class: "note-title" }, title), h("p", {}, text)));
}

/** @param {MessageDetails} message */
function facts(message) {
  const list = h("dl", { class: "facts" });
  /** @type {(name: string, value: string | null | undefined, copied?: boolean) => void} */
  const add = (name, value, copied = false) => {
    if (!value) return;
    let shown = /** @type {Node | string} */ (value);
    if (copied) {
      const part = copyable(name.toLowerCase());
      part.set(value, value);
      shown = part.element;
    }
    list.append(h("div", {}, h("dt", {}, name), h("dd", {}, shown)));
  };
  add("State", STATES[message.state].word);
  add("Total time", message.total_seconds === null ? null : format.took(message.total_seconds));
  add("Carries", message.feed && `${message.feed}${message.round ? `, round ${message.round}` : ""}`);
  add("Protocol", `${message.protocol.toUpperCase()}${message.version ? ` ${message.version}` : ""}`);
  add("Sequence", message.sequence && `#${message.sequence}`);
  add("Fee", message.fee?.text);
  add("Attempts", message.attempts > 1 ? String(message.attempts) : null);
  add("Executed by", message.manual === null ? null : message.manual ? "hand" : "the network");
  add("Receiver called", message.callback === null ? null : message.callback ? "yes" : "no: nothing there took the message");
  add("Sender", message.sender, true);
  add("Receiver", message.receiver, true);
  return list;
}

/** @param {MessageDetails} message */
function evidence(message) {
  if (!message.sightings.length) return [];
  const items = message.sightings.map((sighting) => {
    const tx = copyable(`transaction hash of ${sighting.kind}`);
    tx.set(sighting.tx, sighting.tx);
    const extra = Object.entries(sighting.details)
      .filter(([, value]) => typeof value !== "object" && String(value).length <= 80)
      .map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
    const item = h(
      "li",
      {},
      h("p", {}, h("strong", {}, format.capital(sighting.kind)), ` on ${sighting.chain.label}, block ${format.grouped(sighting.block)}, log ${sighting.log_index}`),
      h("p", {}, tx.element),
      h("p", { class: "quiet" }, [sighting.block_at === null ? "" : format.moment(sighting.block_at), ...extra].filter(Boolean).join(" · ")),
    );
    if (sighting.retracted) item.append(h("p", { class: "state", "data-tone": "gone" }, icon("back"), "Its block left the chain"));
    return item;
  });
  return [h("h3", {}, "Evidence"), h("ul", { class: "evidence" }, ...items)];
}

/** @param {MessageDetails} message */
function transitions(message) {
  if (!message.transitions.length) return [];
  const items = message.transitions.map((step) => {
    const at = step.at ?? step.seen_at;
    const when = h("time", { class: "quiet", datetime: at }, format.moment(at));
    const where = step.chain && step.block ? `, ${step.chain.label} block ${format.grouped(step.block)}` : "";
    const fell = { reorged: "a reorganisation took the evidence", revoked: "its commit was taken back" }[step.step];
    const text = fell ? `Fell back from ${step.before} to ${step.after}: ${fell}` : format.capital(step.step);
    return h("li", {}, h("strong", {}, text), `${where} · `, when);
  });
  return [h("h3", {}, "History"), h("ol", { class: "history" }, ...items)];
}
