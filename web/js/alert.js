// One alert in the drawer: what it says, what to do, who has it, what it explains, and all that happened to it.

import { acknowledge, getAlert, getAlerts, getSilences, unacknowledge } from "./api.js";
import { advice } from "./advice.js";
import { showSeverity, showStanding } from "./alerts.js";
import { since } from "./clock.js";
import { FactList, note } from "./drawer.js";
import { copyable, h, icon, setText } from "./dom.js";
import * as format from "./format.js";
import { keepName, readName } from "./name.js";
import { change, SilenceForm } from "./past.js";

/** @typedef {import("./api.js").AlertDetails} AlertDetails */
/** @typedef {AlertDetails & { below: import("./api.js").Alert[], silence: import("./api.js").Silence | null }} Shown */

const SPANS = [
  ["", "until it is over"],
  ["3600", "for 1 hour"],
  ["14400", "for 4 hours"],
  ["86400", "for a day"],
];
const NOTICES = { firing: "told", repeated: "told again", escalated: "escalated", resolved: "told of the end", test: "test" };
const DELIVERIES = {
  queued: { word: "waits to be taken", tone: "active" },
  sent: { word: "taken", tone: "good" },
  superseded: { word: "a newer one took its place", tone: "quiet" },
  given_up: { word: "given up", tone: "bad" },
};

/** @implements {import("./drawer.js").Subject} */
export class AlertSubject {
  name = "alert";
  title = "Alert";
  route = /^#\/alerts\/(\d{1,18})$/;
  /** @type {AlertDetails | null} */
  alert = null;
  /** @type {HTMLElement | null} */
  lasting = null;
  /** @type {{ id: number, form: AckForm, silence: SilenceForm } | null} */
  kept = null;

  /** @param {string} id */
  async read(id) {
    const alert = await getAlert(id);
    const below = alert.folded ? (await getAlerts()).items.filter((item) => item.folded_under === alert.id) : [];
    const silence = alert.silenced_by === null ? null : ((await getSilences()).items.find((item) => item.id === alert.silenced_by) ?? null);
    return { ...alert, below, silence };
  }

  tick() {
    if (this.alert && this.lasting) setText(this.lasting, format.span(since(this.alert.since)));
  }

  /**
   * @param {Shown} alert
   * @param {() => Promise<void>} again
   */
  show(alert, again) {
    this.alert = alert;
    const severity = h("span", { class: "state state-large" });
    showSeverity(severity, alert);
    const standing = h("span", { class: "state" });
    showStanding(standing, alert);
    const over = alert.resolved_at !== null;
    this.lasting = over ? null : h("span", {});
    return [
      h("div", { class: "drawer-lead" }, severity, standing),
      h("p", { class: "alert-title" }, alert.title),
      h("p", { class: "quiet" }, ...(this.lasting ? ["For ", this.lasting, ", since "] : ["Since "]), format.moment(alert.since), over ? `; over ${format.moment(/** @type {string} */ (alert.resolved_at))}` : ""),
      ...(alert.text ? [h("p", { class: "alert-text" }, format.capital(alert.text))] : []),
      ...remarks(alert),
      ...(alert.remedy && !over ? [h("h3", {}, "What to do"), advice(alert.remedy)] : []),
      ...(over || alert.state === "folded" ? [] : this.holding(alert, again)),
      ...below(alert),
      h("h3", {}, "Facts"),
      facts(alert),
      ...past(alert),
      ...notices(alert),
    ];
  }

  /**
   * Who has it, or the form to say so. The form stays the same while it is open, so that nothing typed is lost.
   * @param {Shown} alert
   * @param {() => Promise<void>} again
   */
  holding(alert, again) {
    if (alert.acknowledged) {
      this.kept = null;
      return [h("h3", {}, "Who has it"), new Holder(alert, again).element];
    }
    if (this.kept?.id !== alert.id) this.kept = { id: alert.id, form: new AckForm(alert.id, again), silence: new SilenceForm(alert, again) };
    return [h("h3", {}, "Who has it?"), this.kept.form.element, ...(alert.state === "silenced" ? [] : [this.kept.silence.element])];
  }
}

/** @param {Shown} alert */
function remarks(alert) {
  const notes = [];
  if (alert.stale) notes.push(note("warn", "clock", "Unconfirmed", "Who reported it has been silent for too long; this is what was said last."));
  if (alert.state === "silenced" && alert.silence) {
    const { who, why, until, id } = alert.silence;
    notes.push(note("held", "mute", "Silenced", `By ${who} until ${format.moment(until)}${why ? `: ${why}` : ""}`, advice(`To end it: seamark alerts unsilence ${id}`)));
  }
  if (alert.folded_under !== null && alert.resolved_at === null) {
    notes.push(note("held", "fold", "Explained by another alert", h("p", {}, "It says nothing itself until ", h("a", { href: `#/alerts/${alert.folded_under}` }, `alert ${alert.folded_under}`), " is over.")));
  }
  return notes;
}

/** @param {Shown} alert */
function below(alert) {
  if (!alert.below.length) return [];
  const items = alert.below.map((item) => {
    const severity = h("span", { class: "state" });
    showSeverity(severity, item);
    return h("li", {}, severity, h("a", { href: `#/alerts/${item.id}` }, item.title));
  });
  return [h("h3", {}, `Explains ${format.plural(items.length, "other alert")}`), h("ul", { class: "below" }, ...items)];
}

/** @param {Shown} alert */
function facts(alert) {
  const list = new FactList();
  list.add("Number", `#${alert.id}`);
  list.add("Kind", h("code", { class: "mono" }, alert.kind));
  list.add("Group", alert.group);
  list.add("Count", alert.count > 1 ? format.grouped(String(alert.count)) : null);
  list.add("Opened", format.moment(alert.opened_at));
  list.add("Came back", alert.returns ? format.plural(alert.returns, "time") : null);
  for (const [name, value] of Object.entries(alert.labels)) {
    if (value.length < 30) list.add(format.capital(name), value);
    else {
      const part = copyable(name);
      part.set(value, value);
      list.add(format.capital(name), part.element);
    }
  }
  return list.element;
}

/** @param {Shown} alert */
function past(alert) {
  if (!alert.history.length) return [];
  const items = alert.history.map((entry) =>
    h("li", {}, h("strong", {}, format.capital(entry.action)), entry.who && entry.who !== "seamark" ? ` by ${entry.who}` : "", entry.text ? `: ${entry.text} ` : " ", h("time", { class: "quiet history-when", datetime: entry.at }, format.moment(entry.at))),
  );
  return [h("h3", {}, "History"), h("ol", { class: "history" }, ...items)];
}

/** @param {Shown} alert */
function notices(alert) {
  if (!alert.notices.length) return [];
  const items = alert.notices.map((item) => {
    const { word, tone } = DELIVERIES[item.state];
    const tried = item.attempts > 1 ? ` after ${item.attempts} attempts` : "";
    const line = h("li", {}, h("strong", {}, item.receiver), ` ${NOTICES[item.event]}: `, h("span", { class: "state", "data-tone": tone }, word), `${tried} `, h("time", { class: "quiet history-when", datetime: item.created_at }, format.moment(item.created_at)));
    if (item.error && item.state !== "sent") line.append(h("p", { class: "quiet" }, item.error));
    return line;
  });
  return [h("h3", {}, "Notices"), h("ul", { class: "history" }, ...items)];
}

/** Says who has it, and gives it back. */
class Holder {
  /**
   * @param {AlertDetails} alert
   * @param {() => Promise<void>} again
   */
  constructor(alert, again) {
    const ack = /** @type {NonNullable<AlertDetails["acknowledged"]>} */ (alert.acknowledged);
    const until = ack.until === null ? "until it is over or gets worse" : `until ${format.moment(ack.until)}`;
    const problem = h("p", { class: "form-problem", role: "alert" });
    const undo = h("button", { type: "button", class: "button", "data-focus": "undo" }, "Give it back");
    undo.addEventListener("click", () => void change(problem, undo, () => unacknowledge(alert.id, readName() || ack.who), again, "Nobody has it now"));
    this.element = h("div", { class: "note", "data-tone": "held" }, icon("person"), h("div", {}, h("p", { class: "note-title" }, ack.who), ...(ack.why ? [h("p", {}, ack.why)] : []), h("p", { class: "quiet" }, `Since ${format.moment(ack.at)}, ${until}`), h("p", { class: "note-do" }, undo), problem));
  }
}

/** Asks who takes it and why. */
class AckForm {
  /**
   * @param {number} id
   * @param {() => Promise<void>} again
   */
  constructor(id, again) {
    const who = h("input", { name: "who", required: true, maxlength: "100", autocomplete: "nickname", spellcheck: "false", "data-focus": "who" });
    who.value = readName();
    const why = h("input", { name: "why", maxlength: "500", autocomplete: "off", placeholder: "Looking at the node", "data-focus": "why" });
    const span = h("select", { name: "seconds", "data-focus": "seconds" }, ...SPANS.map(([value, word]) => h("option", { value }, word)));
    const button = h("button", { class: "button is-main", "data-focus": "ack" }, "Acknowledge");
    const problem = h("p", { class: "form-problem", role: "alert" });
    this.element = h(
      "form",
      { class: "ack" },
      h("label", {}, h("span", {}, "Name"), who),
      h("label", {}, h("span", {}, "How long"), span),
      h("label", { class: "ack-why" }, h("span", {}, "Why (may be empty)"), why),
      h("div", { class: "ack-do" }, button, h("span", { class: "quiet" }, "Ends repeats and escalation.")),
      problem,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      keepName(who.value);
      const seconds = span.value ? Number(span.value) : null;
      void change(problem, button, () => acknowledge(id, who.value, why.value, seconds), again, `${who.value} has it`);
    });
  }
}
