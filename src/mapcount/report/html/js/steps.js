// A scenario's steps: a list to choose from, and the state after the chosen one, folio by folio.

class StepPlayer {
  constructor(block, steps) {
    this.steps = steps;
    this.at = 0;
    const within = (at) => Math.max(0, Math.min(steps.length - 1, at));
    this.list = make("ol", { class: "step-list", tabindex: "0", role: "listbox", "aria-label": block.caption });
    this.state = make("div", { class: "state", "aria-live": "polite" });
    this.list.append(...steps.map((step, i) =>
      make("li", { role: "option", id: `step-${i}`, onclick: () => this.show(i) }, make("code", {}, step.text), ` = ${step.result}`)));
    this.list.addEventListener("keydown", (event) => {
      const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, Home: 0, End: steps.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.show(within(to));
    });
    const go = (label, title, by) =>
      make("button", { type: "button", "aria-label": title, onclick: () => this.show(within(this.at + by)) }, label);
    const rowsOf = (step, i) => step.folios.flatMap((folio) =>
      folio.entries.map((entry) => [i + 1, step.text, folio.name, folio.order, ...entry]));
    const rows = () => steps.flatMap(rowsOf);
    const columns = ["step", "text", "folio", "order", "process", "area", "page", "first", "end", "level"].map((key) => ({ key }));
    const bar = make("div", { class: "bar" }, go("‹", "The step before", -1), go("›", "The next step", 1),
      make("span", { class: "downloads" }, ...downloadButtons("steps", columns, rows)));
    this.element = make("div", {}, bar, make("div", { class: "player" }, this.list, this.state));
    themeWatchers.push(() => this.show(this.at));
    this.show(Math.max(0, steps.findIndex((step) => step.folios.length)));
  }

  show(at) {
    this.at = at;
    [...this.list.children].forEach((item, i) => item.setAttribute("aria-selected", i === at));
    this.list.setAttribute("aria-activedescendant", `step-${at}`);
    const item = this.list.children[at];
    const { offsetTop: top, offsetHeight: height } = item;
    if (top < this.list.scrollTop || top + height > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top - 40;
    const step = this.steps[at];
    const large = step.folios.filter((folio) => folio.order > 0);
    const small = step.folios.filter((folio) => folio.order === 0);
    this.state.replaceChildren(make("h3", {}, `After step ${at + 1}: ${step.text}`), ...large.map(folioState),
      ...(small.length ? [smallFolios(small)] : []),
      ...(step.gone.length ? [make("p", {}, `Gone: ${step.gone.join(", ")}`)] : []),
      ...(step.folios.length ? [] : [make("p", {}, "No folio of the scenario is there.")]));
  }
}

function folioState(folio) {
  const pages = 2 ** folio.order;
  const mark = folio.new ? " new" : folio.changed.length || folio.moved ? " changed" : "";
  const processes = new Map();
  for (const [process, area, place, first, end, level] of folio.entries) {
    if (!processes.has(process)) processes.set(process, []);
    processes.get(process).push({ first, end, level, words: `${level} ${first}:${end} at ${area}[${place}]` });
  }
  const ranges = (runs) => runs.slice(0, 6).map((run) => run.words).join(", ") + (runs.length > 6 ? `, ${runs.length - 6} more` : "");
  const lines = [...processes].map(([process, runs]) => make("div", { class: "stripe" }, make("b", {}, process),
    strip(pages, runs), make("span", { class: "ranges" }, ranges(runs))));
  const words = Object.entries(folio.words).map(([name, value]) => {
    const changed = !folio.new && folio.changed.includes(name);
    return make("tr", { class: changed ? "chosen" : null }, make("th", { scope: "row", class: "unit-text" }, name),
      make("td", { class: "unit-text" }, value, changed ? make("b", {}, "  ◂ changed") : ""));
  });
  return make("div", { class: "folio-state" }, make("h4", {}, folio.title, mark ? make("em", {}, mark) : ""),
    ...(lines.length ? lines : [make("p", { class: "note" }, "Mapped by nobody.")]),
    make("table", {}, make("caption", { class: "unseen" }, `Words of ${folio.name}`), make("tbody", {}, ...words)));
}

function smallFolios(folios) {
  const changed = folios.filter((folio) => folio.new || folio.moved || folio.changed.length);
  const words = changed.slice(0, 8).map((folio) => folio.name).join(", ") + (changed.length > 8 ? ` and ${changed.length - 8} more` : "");
  return make("p", {}, `${plural(folios.length, "order-0 folio")}; ${changed.length ? `new or changed: ${words}` : "none changed"}.`);
}
