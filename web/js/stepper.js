// A message's way as four steps; three where nothing is committed. Under each step stands the time spent in it; the step it is in
// counts on.

import { since } from "./clock.js";
import { h, icon, setAttr, setText } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./api.js").Message} Message */
/** @typedef {import("./api.js").Stage} Stage */

const WORDS = { sent: "Sent", finalized: "Finalized", committed: "Committed", executed: "Executed" };

/** @type {Record<string, { word: string, icon: keyof typeof import("./icons.js").ICONS, tone: string }>} */
export const STATES = {
  in_flight: { word: "In flight", icon: "clock", tone: "active" },
  succeeded: { word: "Executed", icon: "check", tone: "good" },
  failed: { word: "Failed", icon: "cross", tone: "bad" },
  retracted: { word: "Retracted", icon: "back", tone: "gone" },
};

const PROTOCOLS = { ccip: "CCIP", hyperlane: "Hyperlane", interop: "OP interop" };

const WAITS = { sent: "waits for finality", finalized: "waits for commit", committed: "waits for execution" };

/**
 * What a message is doing, in a word or three.
 * @param {Message} message
 */
export function doing(message) {
  if (message.stage === "recovered") return message.manual ? "Recovered by hand" : "Recovered";
  if (message.state !== "in_flight") return STATES[message.state].word;
  if (message.by_hand && message.stage !== "sent") return "Waits for a hand";
  if (message.stage === "finalized" && !message.commits) return "Waits for execution";
  return format.capital(WAITS[/** @type {keyof typeof WAITS} */ (message.stage)] ?? "in flight");
}

/**
 * The moment since which a message waits, if it does.
 * @param {Message} message
 * @returns {string | null}
 */
export function waitingSince(message) {
  if (message.state !== "in_flight") return null;
  return message.stages.reduce((/** @type {string | null} */ last, stage) => stage.at ?? last, null);
}

/**
 * How a state looks: recovered is a success that needed a second attempt or a hand.
 * @param {Message} message
 */
export function lookOf(message) {
  return message.stage === "recovered" ? { ...STATES.succeeded, icon: /** @type {const} */ ("again") } : STATES[message.state];
}

/**
 * The steps that its protocol has.
 * @param {Message} message
 */
export function stepsOf(message) {
  return message.commits ? message.stages : message.stages.filter((stage) => stage.name !== "committed");
}

/**
 * What the step is called now.
 * @param {Message} message
 * @param {Stage} stage
 */
export function wordOf(message, stage) {
  if (stage.state === "failed") return "Failed";
  if (stage.name === "committed" && message.verified) return "Verified";
  return stage.name === "executed" && message.stage === "recovered" ? "Recovered" : WORDS[stage.name];
}

/**
 * "CCIP 1.6", "Hyperlane", "OP interop".
 * @param {Message} message
 */
export function protocolOf(message) {
  const name = PROTOCOLS[/** @type {keyof typeof PROTOCOLS} */ (message.protocol)] ?? format.capital(message.protocol);
  const generation = message.protocol === "ccip" && message.version ? ` ${message.version.split(".").slice(0, 2).join(".")}` : "";
  return name + generation;
}

export class Stepper {
  constructor() {
    this.steps = /** @type {(keyof typeof WORDS)[]} */ (Object.keys(WORDS)).map((name) => new Step(WORDS[name]));
    this.element = h("ol", { class: "stepper" }, ...this.steps.map((step) => step.element));
    /** @type {Message | null} */
    this.message = null;
  }

  /** @param {Message} message */
  update(message) {
    this.message = message;
    const steps = stepsOf(message);
    setAttr(this.element, "data-steps", String(steps.length));
    this.steps.forEach((step, index) => {
      step.element.hidden = index >= steps.length;
      if (index < steps.length) step.show(steps[index].state, wordOf(message, steps[index]), message.stage === "recovered");
    });
    this.tick();
  }

  tick() {
    const message = this.message;
    if (!message) return;
    const steps = stepsOf(message);
    steps.forEach((stage, index) => {
      const next = steps[index + 1];
      let text = "";
      if (stage.state === "current" && stage.at !== null) text = format.span(since(stage.at));
      else if (next && next.seconds !== null) text = format.took(next.seconds);
      this.steps[index].time(text);
    });
  }
}

class Step {
  /** @param {string} word */
  constructor(word) {
    this.node = h("span", { class: "step-node" });
    this.word = h("span", { class: "step-word" }, word);
    this.spent = h("span", { class: "step-time" });
    this.element = h("li", { class: "step" }, this.node, h("span", { class: "step-line" }), h("span", { class: "step-text" }, this.word, this.spent));
    this.look = "";
  }

  /**
   * @param {string} look done, current, waiting, failed or retracted
   * @param {string} word
   * @param {boolean} recovered of the message: its last step has a mark of its own
   */
  show(look, word, recovered) {
    setText(this.word, word);
    const shown = `${look} ${recovered}`;
    if (shown === this.look) return;
    this.look = shown;
    setAttr(this.element, "data-look", look);
    setAttr(this.element, "aria-current", look === "current" ? "step" : undefined);
    const done = recovered && word === "Recovered" ? "again" : "check";
    const mark = { done, failed: "cross", retracted: "back" }[look];
    this.node.replaceChildren(...(mark ? [icon(/** @type {any} */ (mark))] : []));
    setAttr(this.node, "title", { done: "reached", current: "is here", waiting: "not yet reached", failed: "failed", retracted: "retracted" }[look]);
  }

  /** @param {string} text */
  time(text) {
    setText(this.spent, text);
  }
}
