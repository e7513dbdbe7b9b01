// One message with all its evidence, in a drawer of its own address: #/messages/0x…

import { getMessage } from "./api.js";
import { advice } from "./advice.js";
import { since } from "./clock.js";
import { copyable, h, icon, setText } from "./dom.js";
import { FactList, note } from "./drawer.js";
import * as format from "./format.js";
import { flagOf, showMessageState } from "./messages.js";
import { doing, protocolOf, stepsOf, waitingSince, wordOf } from "./stepper.js";

/** @typedef {import("./api.js").MessageDetails} MessageDetails */

const NEXT = "next: "; // how a sentence of the explanation begins that says what to do
const TOLD_ELSEWHERE = /^(why: |number |delivered at |its execution at )/; // the drawer says it in its own place

/** @implements {import("./drawer.js").Subject} */
export class MessageSubject {
  name = "message";
  title = "Message";
  route = /^#\/messages\/(0x[0-9a-f]{64})$/i;
  read = getMessage;
  /** @type {MessageDetails | null} */
  message = null;
  /** @type {HTMLElement | null} */
  waiting = null;

  tick() {
    const waits = this.message && waitingSince(this.message);
    if (waits && this.waiting) setText(this.waiting, format.span(since(waits)));
  }

  /** @param {MessageDetails} message */
  show(message) {
    this.message = message;
    this.waiting = null;
    const state = h("span", { class: "state state-large" });
    showMessageState(state, message);
    const id = copyable("message id");
    id.set(message.id, message.id);
    const [flag, why] = flagOf(message);
    return [
      h("div", { class: "drawer-lead" }, h("div", { class: "msg-now" }, state, h("span", { class: "flag", title: why }, flag)), h("p", { class: "drawer-lane" }, message.lane.source.label, icon("arrow"), message.lane.destination.label)),
      h("div", { class: "drawer-id" }, id.element),
      ...this.failure(message),
      ...next(message),
      h("h3", {}, "Journey"),
      this.way(message),
      ...story(message),
      h("h3", {}, "Facts"),
      facts(message),
      ...evidence(message),
      ...transitions(message),
    ];
  }

  /** @param {MessageDetails} message */
  failure(message) {
    if (message.state === "retracted") {
      return [note("gone", "back", "Retracted", "The block that held the send left the chain in a reorganisation. If the transaction is mined again, the message comes back once.")];
    }
    if (message.late) return [note("warn", "clock", "Late", format.capital(message.explanation.find((text) => text.startsWith("late by ")) ?? "it should have got further by now"))];
    if (message.callback === false && message.state === "succeeded") {
      return [note("warn", "alert", "Delivered, but the receiver was not called", "There is no code at its address, or the code does not say that it takes messages (ERC-165). Tokens have arrived; data has not been handed over.")];
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
    return h("ol", { class: "way" }, ...stepsOf(message).map((stage, index) => this.step(message, stage, index)));
  }

  /**
   * @param {MessageDetails} message
   * @param {import("./api.js").Stage} stage
   * @param {number} index
   */
  step(message, stage, index) {
    const recovered = stage.name === "executed" && message.stage === "recovered";
    const mark = { done: recovered ? "again" : "check", current: "check", failed: "cross", retracted: "back" }[/** @type {string} */ (stage.state)];
    const chain = index < 2 ? message.lane.source : message.lane.destination;
    const head = h("p", { class: "way-head" }, h("strong", {}, wordOf(message, stage)));
    const body = h("div", { class: "way-body" }, head);
    if (stage.at !== null) {
      if (stage.seconds !== null && index > 0) head.append(h("span", { class: "way-took" }, `after ${format.took(stage.seconds)}`));
      const block = stage.block === null ? "" : ` · ${chain.label} block ${format.grouped(stage.block)}`;
      body.append(h("p", { class: "quiet" }, format.moment(stage.at), block));
    } else if (stage.state === "done") body.append(h("p", { class: "quiet" }, "passed; nobody saw when"));
    else if (stepsOf(message)[index - 1]?.state === "current") {
      this.waiting = h("span", { class: "way-took" });
      head.append(h("span", { class: "quiet" }, "awaited for"), this.waiting);
      if (!message.destination_watched && index > 1) body.append(h("p", { class: "quiet" }, "The destination chain is not watched, so this stays unknown."));
    }
    if (recovered) body.append(h("p", { class: "quiet" }, message.manual ? "executed by hand" : `in attempt ${message.attempts}`));
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
 * What to do now, as far as anybody knows.
 * @param {MessageDetails} message
 */
function next(message) {
  const sentences = message.explanation.filter((text) => text.startsWith(NEXT)).map((text) => advice(text.slice(NEXT.length)));
  return sentences.length ? [h("h3", {}, "What to do"), ...sentences] : [];
}

/**
 * What is normal on its lane, and what is not.
 * @param {MessageDetails} message
 */
function story(message) {
  const told = message.explanation.filter((text) => !text.startsWith(NEXT) && !TOLD_ELSEWHERE.test(text));
  return told.length ? [h("h3", {}, "In words"), h("ul", { class: "story" }, ...told.map((text) => h("li", {}, format.capital(text))))] : [];
}

/** @param {MessageDetails} message */
function facts(message) {
  const list = new FactList();
  const version = message.version && !protocolOf(message).endsWith(message.version) ? ` (${message.version})` : "";
  list.add("State", doing(message));
  list.add("Total time", message.total_seconds === null ? null : format.took(message.total_seconds));
  list.add("Carries", message.feed && `${message.feed}${message.round ? `, round ${message.round}` : ""}`);
  list.add("Protocol", protocolOf(message) + version);
  list.add("Sequence", message.sequence && `#${message.sequence}`);
  list.add("Fee", message.fee?.text);
  list.add("Attempts", message.attempts > 1 ? String(message.attempts) : null);
  list.add("Executed by", message.manual === null ? null : message.manual ? "hand" : "the network");
  list.add("Receiver called", message.callback === null ? null : message.callback ? "yes" : "no: nothing there took the message");
  for (const [name, address] of /** @type {const} */ ([["Sender", message.sender], ["Receiver", message.receiver]])) {
    if (address === null) continue;
    const part = copyable(name.toLowerCase());
    part.set(address, address);
    list.add(name, part.element);
  }
  return list.element;
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
