// What was published, newest first, and why.

import { since } from "./clock.js";
import { byId, copyable, h, icon, KeyedList, setAttr, setText } from "./dom.js";
import { reasonOf, showChange } from "./feeds.js";
import * as format from "./format.js";

/** @typedef {import("./api.js").Update} Update */

const FIRST_ROWS = 10;

/** @type {Record<string, { word: string, icon: keyof typeof import("./icons.js").ICONS, tone: string, text: string }>} */
const STATES = {
  broadcast: { word: "Sent", icon: "clock", tone: "active", text: "A node has accepted the transaction" },
  mined: { word: "Mined", icon: "check", tone: "active", text: "In a block that a reorganisation may still undo" },
  final: { word: "Final", icon: "check", tone: "good", text: "In a block that will stay" },
  parked: { word: "Parked", icon: "pause", tone: "warn", text: "The step was too large; the contract waits for a confirmation" },
  reverted: { word: "Reverted", icon: "cross", tone: "bad", text: "The contract refused it" },
  replaced: { word: "Replaced", icon: "back", tone: "warn", text: "Another transaction took its place" },
};

export class Updates {
  constructor() {
    this.visible = FIRST_ROWS;
    /** @type {Update[]} */
    this.items = [];
    this.more = byId("updates-more");
    this.empty = byId("updates-empty");
    this.table = /** @type {HTMLElement} */ (byId("updates").parentElement);
    /** @type {KeyedList<Update>} */
    this.list = new KeyedList(byId("updates"), (item) => `${item.chain.key} ${item.feed} ${item.round} ${item.at}`, () => new UpdateRow());
    this.more.addEventListener("click", () => {
      this.visible += 90;
      this.show(this.items);
    });
  }

  /** @param {Update[]} items newest first */
  show(items) {
    this.items = items;
    this.list.show(items.slice(0, this.visible));
    this.table.hidden = !items.length;
    this.empty.hidden = items.length > 0;
    if (!items.length) {
      this.empty.replaceChildren(
        h("p", { class: "empty-title" }, "Nothing published yet"),
        h("p", { class: "quiet" }, "The first update follows as soon as enough venues agree on a price."),
      );
    }
    this.more.hidden = items.length <= this.visible;
    setText(this.more, `Show ${items.length - this.visible} more`);
    setText(byId("updates-count"), items.length > this.visible ? `newest ${this.visible}` : "");
  }

  tick() {
    this.list.tick();
  }
}

class UpdateRow {
  constructor() {
    this.when = h("td", { class: "u-when" });
    this.feed = h("td", { class: "u-feed" });
    this.old = h("span", { class: "u-old" });
    this.price = h("strong");
    this.change = h("span", { class: "change" });
    this.why = h("span", { class: "why" });
    this.round = h("td", { class: "num u-round" });
    this.tx = copyable("transaction hash");
    this.fee = h("td", { class: "num u-fee quiet" });
    this.state = h("span", { class: "state" });
    this.element = h(
      "tr",
      {},
      this.when,
      this.feed,
      h("td", { class: "num u-price" }, this.old, this.price),
      h("td", { class: "num u-change" }, this.change),
      h("td", { class: "u-why" }, this.why),
      this.round,
      h("td", { class: "u-tx" }, this.tx.element),
      this.fee,
      h("td", { class: "u-state" }, this.state),
    );
    /** @type {Update | null} */
    this.item = null;
  }

  /** @param {Update} item */
  update(item) {
    this.item = item;
    setText(this.feed, item.feed);
    setAttr(this.feed, "title", `on ${item.chain.label}`);
    setText(this.old, item.previous_price === null ? "" : `${format.price(item.previous_price)} → `);
    setText(this.price, format.price(item.price));
    setAttr(this.price, "title", item.price === null ? undefined : `${item.price} from ${format.plural(item.sources, "source")}`);
    showChange(this.change, item.change_percent);
    const reason = reasonOf(item.reason);
    if (this.why.dataset.reason !== item.reason) {
      this.why.dataset.reason = item.reason;
      this.why.replaceChildren(icon(/** @type {any} */ (reason.icon)), reason.word);
      setAttr(this.why, "title", reason.text);
    }
    setText(this.round, item.round === null ? "–" : `#${item.round}`);
    this.tx.set(item.tx, item.tx === null ? "" : format.short(item.tx));
    setText(this.fee, item.fee?.text ?? "–");
    showState(this.state, item);
    this.tick();
  }

  tick() {
    if (!this.item) return;
    setText(this.when, format.ago(since(this.item.at)));
    setAttr(this.when, "title", format.moment(this.item.at));
  }
}

/**
 * @param {HTMLElement} element
 * @param {Update} item
 */
function showState(element, item) {
  if (element.dataset.state === item.state) return;
  element.dataset.state = item.state;
  const shown = STATES[item.state] ?? { word: format.capital(item.state), icon: "alert", tone: "warn", text: item.state };
  setAttr(element, "data-tone", shown.tone);
  setAttr(element, "title", shown.text);
  element.replaceChildren(icon(shown.icon), shown.word);
}
