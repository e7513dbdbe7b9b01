// The bar at the top: chains with their newest block, health in one word, whether the page is live; and the theme.

import { since } from "./clock.js";
import { byId, h, icon, KeyedList, setAttr, setText } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./api.js").ChainState} ChainState */
/** @typedef {import("./api.js").Status} Status */

const OLD_BLOCK_S = 60; // a chain without a block for so long deserves a look
const HEALTH = {
  ok: { word: "Healthy", tone: "good" },
  degraded: { word: "Degraded", tone: "warn" },
  down: { word: "Down", tone: "bad" },
};

export class Header {
  constructor() {
    this.health = byId("health");
    this.dot = /** @type {HTMLElement} */ (this.health.querySelector(".dot"));
    this.word = /** @type {HTMLElement} */ (this.health.querySelector(".health-word"));
    /** @type {KeyedList<ChainState>} */
    this.chains = new KeyedList(byId("chains"), (state) => state.chain.key, () => new ChainChip());
    document.addEventListener("click", (event) => {
      if (!this.health.contains(/** @type {Node} */ (event.target))) this.health.removeAttribute("open");
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.health.removeAttribute("open");
    });
    new Theme();
  }

  /** @param {Status} status */
  show(status) {
    this.chains.show(status.chains);
    const { word, tone } = HEALTH[status.status];
    setText(this.word, word);
    setAttr(this.dot, "data-tone", tone);
    const rows = Object.entries(status.checks).map(([name, check]) =>
      h(
        "li",
        {},
        h("span", { class: "state", "data-tone": HEALTH[check.status].tone }, icon(check.status === "ok" ? "check" : "alert"), name),
        h("span", { class: "quiet" }, check.detail || check.status),
      ),
    );
    byId("checks").replaceChildren(...rows);
    setText(byId("version"), `Seamark ${status.version}`);
    setText(byId("foot-version"), status.version);
  }

  tick() {
    this.chains.tick();
  }
}

class ChainChip {
  constructor() {
    this.dot = h("span", { class: "dot" });
    this.name = h("span", { class: "chain-name" });
    this.block = h("span", { class: "chain-block" });
    this.age = h("span", { class: "chain-age" });
    this.element = h("li", { class: "chain" }, this.dot, this.name, this.block, this.age);
    /** @type {ChainState | null} */
    this.state = null;
  }

  /** @param {ChainState} state */
  update(state) {
    this.state = state;
    setText(this.name, state.chain.label);
    setText(this.block, state.block === null ? "no block yet" : `#${format.grouped(state.block)}`);
    const parts = [`chain id ${state.chain.chain_id ?? "unknown"}`];
    if (state.finalized !== null) parts.push(`final to block ${format.grouped(state.finalized)}`);
    if (state.reorgs) parts.push(format.plural(state.reorgs, "reorganisation"));
    setAttr(this.element, "title", parts.join(" · "));
    this.tick();
  }

  tick() {
    const state = this.state;
    if (!state) return;
    const age = state.block_at === null ? null : since(state.block_at);
    setText(this.age, age === null ? "" : format.span(age));
    setAttr(this.dot, "data-tone", age === null ? "wait" : age > OLD_BLOCK_S ? "warn" : "good");
  }
}

/** Light or dark: the system's choice until a person makes one, which is kept. */
class Theme {
  constructor() {
    this.button = byId("theme");
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.button.addEventListener("click", () => this.choose(this.isDark() ? "light" : "dark"));
    this.system.addEventListener("change", () => this.show());
    this.show();
  }

  isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : this.system.matches;
  }

  /** @param {"light" | "dark"} theme */
  choose(theme) {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("seamark.theme", theme);
    } catch {
      // Not kept for the next visit where storage is forbidden; that is all.
    }
    this.show();
  }

  show() {
    const dark = this.isDark();
    setAttr(this.button, "aria-pressed", String(dark));
    this.button.replaceChildren(icon(dark ? "sun" : "moon"));
  }
}
