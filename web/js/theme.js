// Runs before the first paint, so that a chosen theme never flashes. Classic script on purpose: modules are deferred.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("seamark.theme");
  } catch {
    // Storage may be forbidden; then the system's preference stands.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
