// Elements made of text and attributes. Nothing here, or after, parses a string as HTML.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

// Do what puts other buttons in place of those in a container, and leave the focus where it was among them.
function keepFocus(container, act) {
  const buttons = () => [...container.querySelectorAll("button")];
  const at = buttons().indexOf(document.activeElement);
  act();
  if (at < 0) return;
  const now = buttons();
  (now[at]?.disabled ? now.find((button) => !button.disabled) : now[at])?.focus({ preventScroll: true });
}

// Say something to who does not see it happen.
function announce(words) {
  byId("announcer").textContent = words;
}

function showTooltip(lines, x, y) {
  const tip = byId("tooltip");
  tip.replaceChildren(...lines.map((line) => make("div", {}, line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
}

function hideTooltip() {
  byId("tooltip").hidden = true;
}
