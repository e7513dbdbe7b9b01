// The drawer at the side: one thing with all its evidence, at an address of its own (#/messages/0x…, #/alerts/7). What is shown
// is read anew whenever an event tells of it; focus, scroll position and a half-written form survive that.

import { ApiError } from "./api.js";
import { byId, h, icon } from "./dom.js";
import * as format from "./format.js";

/**
 * A kind of thing that can be shown; its route's first group is the id.
 * @typedef {{ name: string, title: string, route: RegExp, read: (id: string) => Promise<any>,
 *   show: (item: any, again: () => Promise<void>) => (Node | string)[], tick: () => void }} Subject
 */

export class Drawer {
  /** @param {Subject[]} subjects */
  constructor(subjects) {
    this.subjects = subjects;
    this.dialog = /** @type {HTMLDialogElement} */ (byId("details"));
    /** @type {{ subject: Subject, id: string, loaded: boolean } | null} */
    this.open = null;
    addEventListener("hashchange", () => void this.follow());
    this.dialog.addEventListener("close", () => {
      if (this.find()) history.replaceState(null, "", "#/");
      this.open = null;
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // the backdrop
    });
  }

  /** What the address names. */
  find() {
    for (const subject of this.subjects) {
      const id = subject.route.exec(location.hash)?.[1].toLowerCase();
      if (id) return { subject, id, loaded: false };
    }
    return null;
  }

  /** Open or close as the address says. */
  async follow() {
    this.open = this.find();
    if (this.open === null) {
      if (this.dialog.open) this.dialog.close();
      return;
    }
    this.frame(this.open.subject, [h("p", { class: "skeleton-note drawer-note" }, `Reading the ${this.open.subject.name}…`)]);
    if (!this.dialog.open) this.dialog.showModal();
    await this.load();
  }

  /**
   * Something happened to these.
   * @param {string} name of the subject
   * @param {string[] | null} ids null: to any of them
   */
  async refresh(name, ids) {
    if (this.open?.subject.name === name && (ids === null || ids.includes(this.open.id))) await this.load();
  }

  async load() {
    const open = this.open;
    if (open === null) return;
    const { subject, id } = open;
    try {
      const item = await subject.read(id);
      if (this.open === open) this.show(subject, item);
    } catch (error) {
      if (this.open !== open) return;
      const known = error instanceof ApiError;
      if (known || !open.loaded) {
        const text = known ? format.capital(error.message) : `The ${subject.name} could not be read; it is tried again when the connection is back.`;
        this.frame(subject, [h("p", { class: "drawer-note" }, text), h("code", { class: "mono drawer-id" }, id)]);
      }
    }
  }

  tick() {
    this.open?.subject.tick();
  }

  /**
   * @param {Subject} subject
   * @param {any} item
   */
  show(subject, item) {
    const focused = this.dialog.contains(document.activeElement) ? document.activeElement?.getAttribute("data-focus") : null;
    const top = this.dialog.scrollTop;
    if (this.open) this.open.loaded = true;
    this.frame(subject, subject.show(item, () => this.load()));
    this.dialog.scrollTop = top;
    if (focused) /** @type {HTMLElement | null} */ (this.dialog.querySelector(`[data-focus="${focused}"]`))?.focus();
    subject.tick();
  }

  /**
   * @param {Subject} subject
   * @param {(Node | string)[]} children
   */
  frame(subject, children) {
    const close = h("button", { type: "button", class: "icon-button", "aria-label": "Close", "data-focus": "close" }, icon("cross"));
    close.addEventListener("click", () => this.dialog.close());
    this.dialog.replaceChildren(h("div", { class: "drawer-head" }, h("h2", { id: "details-title" }, subject.title), close), h("div", { class: "drawer-body" }, ...children));
  }
}

/**
 * A coloured box with an icon, a title and a sentence.
 * @param {string} tone
 * @param {keyof typeof import("./icons.js").ICONS} name
 * @param {string} title
 * @param {...(Node | string)} text
 */
export function note(tone, name, title, ...text) {
  return h("div", { class: "note", "data-tone": tone }, icon(name), h("div", {}, h("p", { class: "note-title" }, title), ...text.map((part) => (typeof part === "string" ? h("p", {}, part) : part))));
}

/** Names and values, one below the other; empty values are left out. */
export class FactList {
  constructor() {
    this.element = h("dl", { class: "facts" });
  }

  /**
   * @param {string} name
   * @param {string | Node | null | undefined} value
   */
  add(name, value) {
    if (value) this.element.append(h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  }
}
