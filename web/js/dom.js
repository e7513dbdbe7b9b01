// The few DOM helpers the page needs. Data becomes text nodes and attributes only, never markup.

import { ICONS } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean | undefined>} [attributes] `class`, `data-…`, `aria-…`; false and undefined are left out
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttr(element, name, value);
  element.append(...children);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/**
 * Write only what differs: an untouched node costs no layout and keeps a reader's selection.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string | boolean | undefined} value
 */
export function setAttr(element, name, value) {
  if (value === undefined || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? "" : value;
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * A row that knows how to show newer data.
 * @template T
 * @typedef {{ element: HTMLElement, update: (item: T) => void, tick?: () => void }} View
 */

/**
 * Keeps the children of a container in step with a list: rows are made once per key, updated in place, moved only where the
 * order changed, and removed when their key is gone.
 * @template T
 */
export class KeyedList {
  /**
   * @param {HTMLElement} container
   * @param {(item: T) => string} key
   * @param {(item: T) => View<T>} create
   */
  constructor(container, key, create) {
    this.container = container;
    this.key = key;
    this.create = create;
    /** @type {Map<string, View<T>>} */
    this.views = new Map();
    this.filled = false;
  }

  /** @param {T[]} items */
  show(items) {
    const wanted = new Set(items.map(this.key));
    for (const [key, view] of this.views) {
      if (!wanted.has(key)) {
        view.element.remove();
        this.views.delete(key);
      }
    }
    let place = this.container.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      let view = this.views.get(key);
      if (!view) {
        view = this.create(item);
        this.views.set(key, view);
        if (this.filled) enter(view.element);
      }
      view.update(item);
      if (view.element === place) place = place.nextElementSibling;
      else this.container.insertBefore(view.element, place);
    }
    this.filled = true;
  }

  tick() {
    for (const view of this.views.values()) view.tick?.();
  }
}

/** @param {HTMLElement} element */
function enter(element) {
  element.classList.add("is-new");
  setTimeout(() => element.classList.remove("is-new"), 1600);
}

/**
 * A short hash with a button that copies the whole of it.
 * @param {string} label what is copied, for screen readers
 * @returns {{ element: HTMLElement, set: (full: string | null, shown: string) => void }}
 */
export function copyable(label) {
  const text = h("code", { class: "mono" });
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${label}`, title: `Copy ${label}` }, icon("copy"));
  const element = h("span", { class: "copyable" }, text, button);
  let value = "";
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    await copyText(value);
    button.replaceChildren(icon("check"));
    button.classList.add("is-done");
    announce(`Copied ${label}`);
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      button.classList.remove("is-done");
    }, 1400);
  });
  return {
    element,
    set(full, shown) {
      value = full ?? "";
      setText(text, full === null ? "–" : shown);
      setAttr(text, "title", full ?? undefined);
      button.hidden = full === null;
    },
  };
}

/**
 * The clipboard interface exists on HTTPS and localhost only; elsewhere the old way still works.
 * @param {string} value
 */
async function copyText(value) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(value);
    return;
  }
  const area = h("textarea", { class: "hidden" });
  area.value = value;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * Say something to screen readers when they are free.
 * @param {string} text
 */
export function announce(text) {
  setText(byId("announcer"), text);
}
