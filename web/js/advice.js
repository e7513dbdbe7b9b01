// What to do next, as the services word it: a sentence in which commands of Seamark stand. Each command gets a line of its own
// and a button that copies it.

import { copyable, h } from "./dom.js";

const VALUE = String.raw`(?:'[^']*'|"[^"]*"|[^\s;,'"-][^\s;,]*)`;
const COMMAND = new RegExp(String.raw`\bseamark [a-z][a-z-]*(?: [a-z][a-z-]*)?(?: (?:--[a-z-]+(?:[ =]${VALUE})?|0x[0-9a-f]+|\d+|'[^']*'))*`, "g");

/**
 * @param {string} text
 * @returns {{ command: boolean, text: string }[]}
 */
export function partsOf(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(COMMAND)) {
    parts.push({ command: false, text: text.slice(at, match.index) }, { command: true, text: match[0] });
    at = match.index + match[0].length;
  }
  parts.push({ command: false, text: text.slice(at) });
  return parts.map((part) => ({ ...part, text: part.text.replace(/^[\s;,.]+|[\s;,]+$/g, "") })).filter((part) => part.text);
}

/**
 * @param {string} text
 * @returns {HTMLElement}
 */
export function advice(text) {
  const parts = partsOf(text).map((part, index) => {
    if (!part.command) return h("p", {}, index === 0 ? part.text.charAt(0).toUpperCase() + part.text.slice(1) : part.text);
    const line = copyable("command");
    line.set(part.text, part.text);
    return h("p", { class: "command" }, line.element);
  });
  return h("div", { class: "advice" }, ...parts);
}
