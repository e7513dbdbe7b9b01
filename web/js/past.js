// What was wrong and is over, and what is silenced now: in the drawer, at #/alerts/history. Older ones are added page by page.

import { SEVERITIES, showSeverity } from "./alerts.js";
import { ApiError, endSilence, getPastAlerts, getSilences, silence } from "./api.js";
import { announce, h, icon, setText } from "./dom.js";
import * as format from "./format.js";
import { keepName, readName } from "./name.js";

/** @typedef {import("./api.js").Alert} Alert */
/** @typedef {import("./api.js").Silence} Silence */

/** @type {[string, string][]} */
const SPANS = [
  ["3600", "1 hour"],
  ["14400", "4 hours"],
  ["86400", "1 day"],
  ["604800", "7 days"],
];

/** @implements {import("./drawer.js").Subject} */
export class PastSubject {
  name = "history";
  title = "Past alerts and silences";
  route = /^#\/alerts\/(history)$/;
  /** @type {Alert[]} what older pages brought */
  older = [];
  /** @type {string | null | undefined} where the next page begins; undefined: after the first */
  next = undefined;

  async read() {
    const [page, silences] = await Promise.all([getPastAlerts(null), getSilences()]);
    if (this.next === undefined) this.next = page.next;
    const known = new Set(page.items.map((alert) => alert.id));
    return { alerts: [...page.items, ...this.older.filter((alert) => !known.has(alert.id))], silences: silences.items };
  }

  tick() {}

  /**
   * @param {{ alerts: Alert[], silences: Silence[] }} found
   * @param {() => Promise<void>} again
   */
  show(found, again) {
    const more = h("button", { type: "button", class: "more", "data-focus": "more" }, "Show older ones");
    more.hidden = !this.next;
    more.addEventListener("click", async () => {
      more.disabled = true;
      try {
        const page = await getPastAlerts(this.next ?? null);
        this.older.push(...page.items);
        this.next = page.next;
        await again();
      } catch {
        more.disabled = false; // asked again by another click
      }
    });
    return [
      ...(found.silences.length ? [h("h3", {}, "Silenced now"), h("ul", { class: "below" }, ...found.silences.map((item) => silenceRow(item, again)))] : []),
      h("h3", {}, "Over"),
      found.alerts.length ? h("ol", { class: "below past" }, ...found.alerts.map(pastRow)) : h("p", { class: "quiet" }, "No alert has been resolved yet."),
      more,
    ];
  }
}

/** @param {Alert} alert */
function pastRow(alert) {
  const severity = h("span", { class: "state alert-severity" });
  showSeverity(severity, alert);
  const resolved = /** @type {string} */ (alert.resolved_at);
  const lasted = (Date.parse(resolved) - Date.parse(alert.opened_at)) / 1000;
  return h(
    "li",
    { "data-tone": SEVERITIES[alert.severity].tone },
    severity,
    h("a", { href: `#/alerts/${alert.id}` }, alert.title),
    h("span", { class: "quiet past-when" }, `${alert.group} · ${format.moment(alert.opened_at)}, for ${format.span(lasted)}`),
  );
}

/**
 * @param {Silence} item
 * @param {() => Promise<void>} again
 */
function silenceRow(item, again) {
  const problem = h("p", { class: "form-problem", role: "alert" });
  const end = h("button", { type: "button", class: "button", "data-focus": `end-${item.id}` }, "End it");
  end.addEventListener("click", () => void change(problem, end, () => endSilence(item.id, readName() || "page"), again, "The silence has ended"));
  return h(
    "li",
    {},
    icon("mute"),
    h("code", { class: "mono" }, item.matchers.join(" ")),
    h("span", { class: "quiet past-when" }, `By ${item.who} until ${format.moment(item.until)}${item.why ? `: ${item.why}` : ""}`),
    end,
    problem,
  );
}

/** Silences what an alert is about: its kind in its group. */
export class SilenceForm {
  /**
   * @param {Alert} alert
   * @param {() => Promise<void>} again
   */
  constructor(alert, again) {
    const matchers = [`kind=${alert.kind}`, `group=${alert.group}`];
    const who = h("input", { name: "silencer", required: true, maxlength: "100", autocomplete: "nickname", spellcheck: "false", "data-focus": "silencer" });
    who.value = readName();
    const span = h("select", { name: "span", "data-focus": "span" }, ...SPANS.map(([value, word]) => h("option", { value }, word)));
    const why = h("input", { name: "reason", required: true, maxlength: "500", autocomplete: "off", placeholder: "Upgrade of the node", "data-focus": "reason" });
    const button = h("button", { class: "button", "data-focus": "silence" }, "Silence");
    const problem = h("p", { class: "form-problem", role: "alert" });
    const form = h(
      "form",
      { class: "ack" },
      h("label", {}, h("span", {}, "Name"), who),
      h("label", {}, h("span", {}, "For"), span),
      h("label", { class: "ack-why" }, h("span", {}, "Why"), why),
      h("div", { class: "ack-do" }, button, h("span", { class: "quiet" }, "Nobody is told of ", h("code", { class: "mono" }, matchers.join(" ")), " meanwhile.")),
      problem,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      keepName(who.value);
      void change(problem, button, () => silence(matchers, who.value, why.value, Number(span.value)), again, "Silenced");
    });
    this.element = h("details", { class: "silence" }, h("summary", { "data-focus": "open-silence" }, "Silence it instead"), form);
  }
}

/**
 * Ask the server for a change; say what it answers.
 * @param {HTMLElement} problem
 * @param {HTMLButtonElement} button
 * @param {() => Promise<unknown>} work
 * @param {() => Promise<void>} again
 * @param {string} done
 */
export async function change(problem, button, work, again, done) {
  setText(problem, "");
  button.disabled = true;
  try {
    await work();
    announce(done);
    await again();
  } catch (error) {
    setText(problem, error instanceof ApiError ? format.capital(error.message) : "The server did not answer. Nothing may have changed; try again.");
  } finally {
    button.disabled = false;
  }
}
