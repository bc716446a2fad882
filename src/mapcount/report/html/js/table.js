// A table that can be sorted by its headings, filtered, paged, downloaded, and whose rows may pick folios of the map.

const ROWS_PER_PAGE = 50;
const tables = new Map();

class DataTable {
  constructor(block, { pick = null } = {}) {
    this.block = block;
    this.pick = pick;
    this.order = null;
    this.sortBy = columnIndex(block, block.sort);
    this.down = true;
    this.at = 0;
    this.filter = () => true;
    this.chosen = null;
    this.element = this.build();
    this.show();
  }

  build() {
    const { block } = this;
    this.count = make("span", { class: "count", role: "status" });
    this.head = make("tr");
    this.body = make("tbody");
    this.pager = make("span", { class: "pager" });
    const input = make("input", {
      type: "search", placeholder: "Filter", "aria-label": `Filter ${block.caption}`, spellcheck: "false",
      oninput: () => this.filterBy(input.value),
    });
    this.input = input;
    const bar = make("div", { class: "bar" }, input, this.count, this.pager,
      make("span", { class: "downloads" }, ...downloadButtons(block.id.replace(/-table$/, ""), block.columns, () => this.rows())));
    const caption = make("caption", { class: "unseen" }, block.caption);
    const table = make("table", {}, caption, make("thead", {}, this.head), this.body);
    const scroller = make("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": block.caption }, table);
    if (!block.folded) return make("div", { class: "data" }, bar, scroller);
    return make("details", {}, make("summary", {}, `${block.caption}: the numbers`), bar, scroller);
  }

  filterBy(text) {
    this.filter = parseFilter(text, this.block.columns);
    this.order = null;
    this.at = 0;
    this.show();
  }

  // The rows of another source take the place of these (folios that were picked).
  replace(rows, keys) {
    this.block.rows = rows;
    this.block.keys = keys;
    this.order = null;
    this.at = 0;
    this.show();
  }

  sort(column) {
    this.down = this.sortBy === column ? !this.down : this.block.columns[column].unit !== "text";
    this.sortBy = column;
    this.order = null;
    this.at = 0;
    this.show();
    const way = this.down ? "largest first" : "smallest first";
    announce(`${this.block.caption} sorted by ${this.block.columns[column].title}, ${way}`);
  }

  sorted() {
    if (this.order) return this.order;
    const { rows } = this.block;
    const order = [...rows.keys()].filter((i) => this.filter(rows[i]));
    const by = this.sortBy;
    if (by >= 0) {
      const text = this.block.columns[by].unit === "text";
      const compare = text ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => a - b;
      const way = this.down ? -1 : 1;
      order.sort((a, b) => way * compare(rows[a][by], rows[b][by]) || a - b);
    }
    this.order = order;
    return order;
  }

  rows() {
    return this.sorted().map((i) => this.block.rows[i]);
  }

  show() {
    const order = this.sorted();
    const shown = order.slice(this.at, this.at + ROWS_PER_PAGE);
    keepFocus(this.head, () => this.head.replaceChildren(...this.block.columns.map((column, i) => this.heading(column, i))));
    this.body.replaceChildren(...shown.map((i) => this.row(i)));
    const { rows, left_out: leftOut } = this.block;
    const all = order.length === rows.length ? plural(rows.length, "row") : `${formatCount(order.length)} of ${plural(rows.length, "row")}`;
    this.count.textContent = leftOut ? `${all}; ${formatCount(leftOut)} more are not in this page` : all;
    keepFocus(this.pager, () => this.showPager(order.length));
  }

  showPager(total) {
    const go = (at) => () => { this.at = at; this.show(); };
    const button = (label, title, at, off) =>
      make("button", { type: "button", "aria-label": title, disabled: off, onclick: go(at) }, label);
    const last = Math.min(this.at + ROWS_PER_PAGE, total);
    this.pager.replaceChildren(...(total <= ROWS_PER_PAGE ? [] : [
      button("‹", "Rows before", this.at - ROWS_PER_PAGE, this.at === 0),
      `${formatCount(this.at + 1)} to ${formatCount(last)}`,
      button("›", "Rows after", this.at + ROWS_PER_PAGE, last === total),
    ]));
  }

  heading(column, i) {
    const sorted = this.sortBy === i;
    const arrow = sorted ? (this.down ? " ▼" : " ▲") : "";
    const button = make("button", { type: "button", title: column.says || null, onclick: () => this.sort(i) }, column.title + arrow);
    const sort = sorted ? (this.down ? "descending" : "ascending") : null;
    return make("th", { scope: "col", class: `unit-${column.unit}`, "aria-sort": sort }, button);
  }

  row(index) {
    const unit = this.block.rows[index][columnIndex(this.block, "unit")];
    const cells = this.block.columns.map((column, i) => {
      const value = this.block.rows[index][i];
      const words = FORMATS[column.unit](value, unit);
      const zero = value === 0 && column.unit !== "number";
      const inside = this.pick && i === 0 ? this.pickButton(index, words) : words;
      return make("td", { class: zero ? `unit-${column.unit} zero` : `unit-${column.unit}` }, inside);
    });
    const act = this.pick ? (event) => { if (!event.target.closest("button")) this.pick(index); } : null;
    const chosen = this.chosen !== null && this.block.keys?.[index] === this.chosen;
    return make("tr", { onclick: act, class: chosen ? "chosen" : null }, ...cells);
  }

  pickButton(index, words) {
    return make("button", { type: "button", class: "pick", onclick: () => this.pick(index) }, words);
  }

  // Turn to the row with this key, mark it and go there.
  reveal(key) {
    this.input.value = "";
    this.filterBy("");
    this.chosen = key;
    const place = this.sorted().findIndex((i) => this.block.keys[i] === key);
    if (place < 0) return false;
    this.at = place - (place % ROWS_PER_PAGE);
    this.show();
    const row = this.body.querySelector(".chosen");
    row.scrollIntoView({ block: "center" });
    row.querySelector("button")?.focus({ preventScroll: true });
    return true;
  }
}
