// The name under which a person changes something, kept in this browser for the next time.

const KEPT_NAME = "seamark.who";

export function readName() {
  try {
    return localStorage.getItem(KEPT_NAME) ?? "";
  } catch {
    return ""; // storage is forbidden here
  }
}

/** @param {string} name */
export function keepName(name) {
  try {
    localStorage.setItem(KEPT_NAME, name);
  } catch {
    // Asked again next time where storage is forbidden; that is all.
  }
}
