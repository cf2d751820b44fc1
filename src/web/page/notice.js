// What the user should know of what the page does by itself, above all else until he has read it.

import { element } from "./words.js";

const box = document.getElementById("notice");
const list = document.getElementById("notices");
/** Of more only the last are shown. */
const MOST = 3;

export function tell(text) {
  for (const line of [...list.children]) if (line.textContent === text) line.remove();
  list.append(element("li", text));
  while (list.children.length > MOST) list.firstElementChild.remove();
  box.hidden = false;
}

document.getElementById("notice-close").addEventListener("click", () => {
  list.replaceChildren();
  box.hidden = true;
});
