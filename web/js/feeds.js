// One card per feed: its price on each chain, how old, how far from what the venues say, how near to the next update.

import { since } from "./clock.js";
import { byId, h, icon, KeyedList, setAttr, setText } from "./dom.js";
import * as format from "./format.js";
import { Sparkline } from "./sparkline.js";

/** @typedef {import("./api.js").Feed} Feed */
/** @typedef {import("./api.js").FeedPoint} FeedPoint */

export const REASONS = {
  first: { word: "First", icon: "flag", text: "the feed had no answer yet" },
  deviation: { word: "Deviation", icon: "pulse", text: "the price moved past the threshold" },
  heartbeat: { word: "Heartbeat", icon: "clock", text: "the answer was due for renewal" },
  join: { word: "Join", icon: "person", text: "another oracle had begun the round" },
  confirm: { word: "Confirm", icon: "check", text: "a second observation confirmed a large step" },
};

export class Feeds {
  constructor() {
    this.container = byId("feeds");
    /** @type {KeyedList<Feed>} */
    this.list = new KeyedList(this.container, (feed) => feed.name, () => new FeedCard());
  }

  /** @param {Feed[]} feeds */
  show(feeds) {
    if (this.container.hasAttribute("aria-busy")) {
      this.container.replaceChildren();
      this.container.removeAttribute("aria-busy");
    }
    setText(byId("feeds-count"), feeds.length ? format.plural(feeds.length, "feed") : "");
    this.container.querySelector(".card-empty")?.remove();
    this.list.show(feeds);
    if (!feeds.length) {
      this.container.append(
        h(
          "div",
          { class: "card card-empty" },
          h("p", { class: "empty-title" }, "No price feeds yet"),
          h("p", { class: "quiet" }, "A feed appears here as soon as the oracle service has read its contract for the first time."),
        ),
      );
    }
  }

  tick() {
    this.list.tick();
  }
}

class FeedCard {
  constructor() {
    this.name = h("h3", { class: "feed-name" });
    this.spark = new Sparkline();
    this.price = h("p", { class: "feed-price" });
    this.change = h("span", { class: "change" });
    this.points = h("tbody");
    this.deviation = new Gauge("Deviation");
    this.heartbeat = new Gauge("Heartbeat");
    this.last = h("p", { class: "feed-last quiet" });
    this.element = h(
      "article",
      { class: "card feed" },
      h("div", { class: "feed-head" }, h("div", {}, h("div", { class: "feed-title" }, this.name, this.change), this.price), this.spark.element),
      h(
        "table",
        { class: "points" },
        h("caption", { class: "hidden" }, "Price by chain"),
        h(
          "thead",
          { class: "hidden" },
          h("tr", {}, ...["Chain and round", "Price and drift", "Age"].map((word) => h("th", { scope: "col" }, word))),
        ),
        this.points,
      ),
      h("div", { class: "gauges" }, this.deviation.element, this.heartbeat.element),
      this.last,
    );
    /** @type {KeyedList<FeedPoint>} */
    this.rows = new KeyedList(this.points, (point) => `${point.chain.key} ${point.address}`, () => new PointRow());
    /** @type {Feed | null} */
    this.feed = null;
  }

  /** @param {Feed} feed */
  update(feed) {
    const before = this.feed?.source.price ?? null;
    this.feed = feed;
    setText(this.name, feed.name);
    setAttr(this.name, "title", feed.description);
    setText(this.price, feed.source.price === null ? "No answer yet" : format.price(feed.source.price));
    this.price.classList.toggle("is-missing", feed.source.price === null);
    if (before !== null && feed.source.price !== null && before !== feed.source.price) {
      flash(this.price, Number(feed.source.price) > Number(before));
    }
    showChange(this.change, feed.last_update?.change_percent ?? null);
    this.spark.update(feed.history);
    this.rows.show([feed.source, ...feed.destinations]);
    this.showDeviation(feed);
    this.tick();
  }

  /** @param {Feed} feed */
  showDeviation(feed) {
    const seen = feed.observation;
    this.deviation.element.hidden = feed.deviation_threshold_percent === null;
    const threshold = Number(feed.deviation_threshold_percent);
    if (!seen || seen.deviation_percent === null) {
      this.deviation.show(0, `limit ${threshold} %`);
      return;
    }
    const share = threshold > 0 ? Math.abs(Number(seen.deviation_percent)) / threshold : 0;
    const title = `Venues say ${format.price(seen.price)}${seen.sources === null ? "" : ` (${format.plural(seen.sources, "source")})`}`;
    this.deviation.show(share, `${format.percent(seen.deviation_percent).replace(" %", "")} of ${threshold} %`, title);
  }

  tick() {
    if (!this.feed) return;
    const { source, heartbeat_seconds: heartbeat, last_update: last } = this.feed;
    this.heartbeat.element.hidden = heartbeat === null;
    if (heartbeat === null) this.heartbeat.show(0, "");
    else if (source.updated_at === null) this.heartbeat.show(0, `every ${format.limit(heartbeat)}`);
    else {
      const age = since(source.updated_at);
      this.heartbeat.show(age / heartbeat, `${format.span(age)} of ${format.limit(heartbeat)}`);
    }
    if (last) {
      const reason = reasonOf(last.reason);
      setText(this.last, `Last: ${reason.word.toLowerCase()}, ${format.ago(since(last.at))}`);
      setAttr(this.last, "title", reason.text);
    } else setText(this.last, heartbeat === null ? "Watched, not published here" : "Nothing published yet");
    this.rows.tick();
  }
}

class PointRow {
  constructor() {
    this.chain = h("span", { class: "point-chain" });
    this.kind = h("span", { class: "tag" });
    this.round = h("span", { class: "point-sub" });
    this.price = h("span", { class: "point-price" });
    this.drift = h("span", { class: "point-sub" });
    this.age = h("td", { class: "num point-age" });
    this.element = h(
      "tr",
      {},
      h("th", { scope: "row" }, this.chain, this.kind, this.round),
      h("td", { class: "num" }, this.price, this.drift),
      this.age,
    );
    /** @type {FeedPoint | null} */
    this.point = null;
  }

  /** @param {FeedPoint} point */
  update(point) {
    const before = this.point?.price ?? null;
    this.point = point;
    const remote = point.rounds_behind !== 0 || point.drift_percent !== null;
    const behind = point.rounds_behind;
    setText(this.chain, point.chain.label);
    setAttr(this.chain, "title", point.address ?? undefined);
    setText(this.kind, point.paused ? "paused" : remote ? "" : "source");
    setText(this.round, point.round === null ? "no round yet" : `round ${point.round}${behind > 0 ? `, ${behind} behind` : ""}`);
    this.round.classList.toggle("is-behind", behind > 0 && point.round !== null);
    setText(this.price, format.price(point.price));
    if (before !== null && point.price !== null && before !== point.price) flash(this.price, Number(point.price) > Number(before));
    setText(this.drift, !remote ? "" : point.price === null ? "not yet delivered" : drift(point.drift_percent));
    this.tick();
  }

  tick() {
    const point = this.point;
    if (!point) return;
    setText(this.age, point.updated_at === null ? "–" : format.span(since(point.updated_at)));
    const stale = point.stale && point.updated_at !== null;
    this.age.classList.toggle("is-stale", stale);
    setAttr(this.age, "title", stale ? "Stale: older than its heartbeat allows" : "Age of the answer");
  }
}

/** @param {string | null} percent */
function drift(percent) {
  return percent === null || Number(percent) === 0 ? "same price" : `${format.percent(percent)} drift`;
}

/** A bar that fills towards a limit, with the numbers in words beside it. */
class Gauge {
  /** @param {string} label */
  constructor(label) {
    this.label = label;
    this.text = h("span", { class: "gauge-text" });
    this.fill = h("span", { class: "gauge-fill" });
    this.bar = h("span", { class: "gauge-bar", role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" }, this.fill);
    this.element = h("div", { class: "gauge" }, h("span", { class: "gauge-label" }, label), this.text, this.bar);
  }

  /**
   * @param {number} share 1 is the limit
   * @param {string} text
   * @param {string} [title]
   */
  show(share, text, title) {
    const part = Math.min(1, Math.max(0, share));
    this.fill.style.transform = `scaleX(${part.toFixed(3)})`;
    setAttr(this.bar, "aria-valuenow", String(Math.round(part * 100)));
    setAttr(this.bar, "aria-valuetext", text);
    setAttr(this.element, "data-level", share > 1.25 ? "over" : share >= 0.8 ? "near" : undefined);
    setAttr(this.element, "title", title);
    setText(this.text, text);
  }
}

/** @param {string} reason */
export function reasonOf(reason) {
  return REASONS[/** @type {keyof typeof REASONS} */ (reason)] ?? { word: format.capital(reason), icon: "alert", text: reason };
}

/**
 * A change with its direction as an arrow and a sign, not only as a colour.
 * @param {HTMLElement} element
 * @param {string | null} change
 */
export function showChange(element, change) {
  const value = change === null ? 0 : Number(change);
  const tone = value > 0 ? "up" : value < 0 ? "down" : "same";
  if (element.dataset.shown === `${change}`) return;
  element.dataset.shown = `${change}`;
  setAttr(element, "data-tone", tone);
  element.replaceChildren(...(tone === "same" ? [] : [icon(tone)]), change === null ? "" : format.percent(change));
}

/**
 * @param {HTMLElement} element
 * @param {boolean} rose
 */
function flash(element, rose) {
  element.classList.remove("flash-up", "flash-down");
  void element.offsetWidth; // restart the animation
  element.classList.add(rose ? "flash-up" : "flash-down");
}
