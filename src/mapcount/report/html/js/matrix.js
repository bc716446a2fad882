// The first picture: kinds and sizes of folios by their state, in bytes or folios; a cell picks its folios.

const STATES = [
  ["whole", "whole, one"], ["whole-shared", "whole, shared"], ["part", "in part, one"],
  ["part-shared", "in part, shared"], ["unknown", "unknown"],
];
const GLYPHS = { whole: "■", "whole-shared": "◆", part: "◧", "part-shared": "◈", unknown: "?", waste: "▨" };

class Matrix {
  constructor(block) {
    this.rows = block.data;
    this.measure = "bytes";
    this.states = STATES.filter(([state]) => state !== "unknown" || this.rows.some((row) => row.state === state));
    this.table = make("table", { class: "sizes" });
    const choices = [["bytes", "memory"], ["folios", "folios"]].map(([measure, label]) =>
      make("label", {}, make("input", {
        type: "radio", name: "measure", value: measure, checked: measure === this.measure,
        onchange: () => { this.measure = measure; this.show(); },
      }), label));
    const columns = ["kind", "order", "size", "state", "folios", "bytes", "mapped_bytes", "wasted_bytes"];
    const bar = make("div", { class: "bar" }, make("fieldset", {}, make("legend", { class: "unseen" }, "Cells show"), ...choices),
      make("span", { class: "downloads" },
        ...downloadButtons("sizes", columns.map((key) => ({ key })), () => this.rows.map((row) => columns.map((key) => row[key])))));
    this.element = make("div", {}, bar, make("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": block.caption }, this.table));
    this.show();
  }

  sum(measure, test) {
    return this.rows.reduce((sum, row) => (test(row) ? sum + row[measure] : sum), 0);
  }

  show() {
    const groups = new Map(this.rows.map((row) => [`${row.kind} ${row.order}`, row]));
    const glyph = (state) => make("span", { class: `glyph ${state}`, "aria-hidden": "true" }, GLYPHS[state]);
    const head = make("tr", {}, make("th", { scope: "col", class: "unit-text" }, "kind, size"),
      ...this.states.map(([state, title]) => make("th", { scope: "col" }, glyph(state), ` ${title}`)),
      make("th", { scope: "col" }, "total"), make("th", { scope: "col" }, glyph("waste"), " wasted"));
    const body = [...groups.values()].map((one) =>
      this.line(`${one.kind} ${one.size}`, (row) => row.kind === one.kind && row.order === one.order, one));
    const foot = this.line("total", () => true, null);
    this.table.replaceChildren(make("caption", { class: "unseen" }, `Folios by size and state, ${this.measure}`),
      make("thead", {}, head), make("tbody", {}, ...body), make("tfoot", {}, foot));
  }

  line(title, test, one) {
    const whole = this.sum(this.measure, () => true);
    const cells = this.states.map(([state]) => {
      const value = this.sum(this.measure, (row) => test(row) && row.state === state);
      return this.cell(value, whole, state, one && one.order > 0 ? { folioKind: one.kind, order: one.order, state } : null, title);
    });
    return make("tr", {}, make("th", { scope: "row", class: "unit-text" }, title), ...cells,
      make("td", { class: "total" }, this.words(this.sum(this.measure, test))),
      this.wasted(this.sum("wasted_bytes", test)));
  }

  cell(value, whole, state, pick, title) {
    const words = this.words(value);
    // From the least that is not nothing to the whole: five shades.
    const shade = value ? Math.min(4, Math.max(0, Math.ceil(4 + Math.log10(value / whole)))) : "none";
    const named = STATES.find(([name]) => name === state)[1];
    const choose = () => {
      select({ kind: "size", ...pick, words: `${title}, ${named}` });
      byId("folios").scrollIntoView();
    };
    const inside = pick && value && byId("folio-map")
      ? make("button", { type: "button", "aria-label": `${title}, ${named}: ${words}. Show in the map`, onclick: choose }, words)
      : value ? words : "";
    return make("td", { class: `${state} shade-${shade}` }, inside);
  }

  wasted(bytes) {
    return make("td", { class: bytes ? "wasted" : "zero" }, formatBytes(bytes));
  }

  words(value) {
    return this.measure === "bytes" ? formatBytes(value) : formatCount(value);
  }
}
