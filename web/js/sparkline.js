// A small line of recent answers: each holds until the next, as it does on chain, so the line has steps.

import { setAttr, svg } from "./dom.js";

const WIDTH = 132;
const HEIGHT = 36;
const EDGE = 3;
let made = 0;

export class Sparkline {
  constructor() {
    const id = `spark-${++made}`;
    this.line = svg("path", { class: "spark-line" });
    this.area = svg("path", { class: "spark-area", fill: `url(#${id})` });
    this.end = svg("circle", { class: "spark-end", r: "2.6" });
    const fade = svg(
      "linearGradient",
      { id, x1: "0", y1: "0", x2: "0", y2: "1" },
      svg("stop", { offset: "0", class: "spark-stop" }),
      svg("stop", { offset: "1", class: "spark-stop spark-stop-end" }),
    );
    this.element = svg(
      "svg",
      { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Recent answers" },
      svg("defs", {}, fade),
      this.area,
      this.line,
      this.end,
    );
  }

  /** @param {{ at: string, price: string }[]} points oldest first */
  update(points) {
    this.element.classList.toggle("is-empty", points.length < 2);
    if (points.length < 2) return;
    const prices = points.map((point) => Number(point.price));
    const times = points.map((point) => Date.parse(point.at));
    const low = Math.min(...prices);
    const range = Math.max(...prices) - low || 1;
    const start = times[0];
    const length = times[times.length - 1] - start || 1;
    const x = (/** @type {number} */ at) => EDGE + ((at - start) / length) * (WIDTH - 2 * EDGE);
    const y = (/** @type {number} */ price) => HEIGHT - EDGE - ((price - low) / range) * (HEIGHT - 2 * EDGE);
    let path = `M${x(times[0]).toFixed(1)} ${y(prices[0]).toFixed(1)}`;
    for (let index = 1; index < points.length; index += 1) {
      path += `H${x(times[index]).toFixed(1)}V${y(prices[index]).toFixed(1)}`;
    }
    setAttr(this.line, "d", path);
    setAttr(this.area, "d", `${path}V${HEIGHT}H${EDGE}Z`);
    setAttr(this.end, "cx", x(times[times.length - 1]).toFixed(1));
    setAttr(this.end, "cy", y(prices[prices.length - 1]).toFixed(1));
  }
}
