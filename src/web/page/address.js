// What the page shows, in its address: so that a link shows the same place, and the browser's way back goes there.

const NAMES = ["dataset", "field", "axes", "image", "picture", "detector", "position", "spectrum", "scale", "part", "range", "frame_range", "process", "parameters"];

/** What the address says; the token that it may have is taken out of it. */
export function read() {
  const query = new URLSearchParams(location.search);
  const said = Object.fromEntries(NAMES.filter((name) => query.has(name)).map((name) => [name, query.get(name)]));
  if (query.has("token")) {
    query.delete("token");
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  }
  return said;
}

let last = "";

/** Writes it down; a step that one wants to come back from is one of the browser's history. */
export function write(state, isStep) {
  const pairs = NAMES.map((name) => [name, state[name]]).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  if (query === last) return;
  const way = isStep && last ? "pushState" : "replaceState";
  last = query;
  history[way](null, "", query ? `?${query}` : location.pathname);
}

/** `changed` is called when the user goes back or forward. */
export function listen(changed) {
  addEventListener("popstate", () => {
    last = location.search.slice(1);
    changed(read());
  });
}
