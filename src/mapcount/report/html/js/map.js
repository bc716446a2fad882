// The folio map: canvas, what it shows and how it is moved by wheel, pointer and keys.

const MOST_SCALE = 64;
const MAP_KEYS = "Arrows step from folio to folio, plus and minus zoom, 0 shows all, Enter shows who maps a folio. "
  + "The table below has the same folios.";

class FolioMap {
  constructor(block) {
    Object.assign(this, { grouping: "size", colouring: "state", view: { scale: 1, x: 0, y: 0 }, hovered: -1, current: -1, opened: null, frame: 0 });
    this.canvas = make("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "map", "aria-label": `${block.caption}. ${MAP_KEYS}`,
    });
    this.legend = make("ul", { class: "legend" });
    this.chip = make("span", { class: "chip" });
    this.detail = make("div", { class: "detail", id: "folio-detail" });
    this.element = make("div", {}, this.toolbar(), this.legend,
      make("div", { class: "map-and-detail" }, make("div", { class: "canvas-box" }, this.canvas), this.detail));
    this.colour();
    this.pick(selection);
    this.listen();
  }

  toolbar() {
    const choose = (label, from, field, act) => {
      const options = Object.entries(from).map(([key, value]) => make("option", { value: key }, value.words ?? value[0]));
      return make("label", {}, label, make("select", { onchange: (event) => { this[field] = event.target.value; act(); } }, ...options));
    };
    const button = (label, title, act) => make("button", { type: "button", "aria-label": title, title, onclick: act }, label);
    const middle = () => [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    return make("div", { class: "bar" }, choose("Colour", COLOURINGS, "colouring", () => this.colour()),
      choose("Group by", GROUPINGS, "grouping", () => this.arrange()),
      button("+", "Zoom in", () => this.zoom(2, ...middle())), button("−", "Zoom out", () => this.zoom(0.5, ...middle())),
      button("All", "Show all of the map", () => this.fit()), this.chip);
  }

  // Give the canvas its size. What is shown stays if it is a part; all of the map is laid out anew for the new shape.
  resize(anew = false) {
    const { clientWidth, clientHeight } = this.canvas;
    const [width, height] = [Math.round(clientWidth * devicePixelRatio), Math.round(clientHeight * devicePixelRatio)];
    if (!width || (!anew && width === this.canvas.width && height === this.canvas.height)) return;
    Object.assign(this.canvas, { width, height });
    if (anew || !this.layout || this.view.scale === this.least) this.arrange();
    else this.draw();
  }

  arrange() {
    const row = this.currentRow();
    this.layout = layOut(this.grouping, this.canvas.clientWidth / this.canvas.clientHeight);
    this.current = row < 0 ? -1 : this.layout.cells.ref.indexOf(row);
    this.hovered = -1;
    this.fit();
  }

  currentRow() {
    return this.current < 0 ? -1 : this.layout.cells.ref[this.current];
  }

  colour() {
    this.colours = coloursOf(this.colouring);
    const entry = ([words, glyph, name], i) => this.colours.occurs.has(i)
      ? make("li", {}, make("span", { class: `swatch tone-${name}`, "aria-hidden": "true" }, glyph), words) : null;
    const extra = [make("li", {}, make("span", { class: "swatch hatched", "aria-hidden": "true" }), "wasted: mapped by nobody"),
      make("li", {}, make("span", { class: "swatch cached", "aria-hidden": "true" }), "mapped by nobody, but no waste")];
    if (store.binCount) extra.push(make("li", {}, make("span", { class: "swatch binned", "aria-hidden": "true" }), "binned: many folios alike"));
    this.legend.replaceChildren(...this.colours.values.map(entry).filter(Boolean), ...extra);
    this.draw();
  }

  pick(chosen) {
    const { row, bin } = picked(chosen);
    this.pickedRows = Uint8Array.from({ length: store.count }, (_, i) => row(i));
    this.pickedBins = Uint8Array.from({ length: store.binCount }, (_, i) => bin(i));
    const clear = chosen.kind === "all" ? null
      : make("button", { type: "button", "aria-label": "Show all folios again", onclick: () => { selectAll(); this.canvas.focus(); } }, "✕");
    this.chip.replaceChildren(`Shown: ${chosen.words}`, ...(clear ? [" ", clear] : []));
    this.draw();
  }

  isPicked(ref) {
    return ref >= 0 ? this.pickedRows[ref] : this.pickedBins[-1 - ref];
  }

  fit() {
    const { clientWidth: wide, clientHeight: tall } = this.canvas;
    const scale = Math.min(wide / this.layout.width, tall / this.layout.height, MOST_SCALE);
    this.least = scale;
    this.view = { scale, x: (wide / scale - this.layout.width) / -2, y: (tall / scale - this.layout.height) / -2 };
    this.draw();
  }

  zoom(factor, x, y) {
    const scale = Math.min(MOST_SCALE, Math.max(this.least, this.view.scale * factor));
    const [at, down] = this.toMap(x, y);
    this.view = { scale, x: at - x / scale, y: down - y / scale };
    if (scale === this.least) this.fit();
    else this.draw();
  }

  move(x, y) {
    this.view.x += x / this.view.scale;
    this.view.y += y / this.view.scale;
    this.draw();
  }

  toScreen(x, y) {
    return [(x - this.view.x) * this.view.scale, (y - this.view.y) * this.view.scale];
  }

  toMap(x, y) {
    return [x / this.view.scale + this.view.x, y / this.view.scale + this.view.y];
  }

  cellAt(x, y) {
    return cellOf(this.layout, placeAt(this.layout, ...this.toMap(x, y)));
  }

  draw() {
    if (!this.layout || this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; paint(this); });
  }

  listen() {
    startPointer(this);
    this.canvas.addEventListener("keydown", (event) => {
      if (keyOnMap(this, event)) event.preventDefault();
    });
    selectionWatchers.push((chosen) => this.pick(chosen));
    themeWatchers.push(() => {
      // At once: nothing waits for a frame when a page is printed.
      if (this.layout) paint(this);
      if (this.opened !== null) showDetail(this.detail, this.opened);
    });
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  // Make a cell the one that is looked at, bring it into sight, and say what it is.
  goTo(cell, { open = false } = {}) {
    this.current = cell;
    const [across, down] = extentOf(this.layout.cells.order[cell]);
    const [x, y] = [this.layout.cells.x[cell], this.layout.cells.y[cell]];
    const [left, top] = this.toScreen(x, y);
    const { clientWidth: wide, clientHeight: tall } = this.canvas;
    if (left < 0 || top < 0 || left + across * this.view.scale > wide || top + down * this.view.scale > tall) {
      this.view.x = x + across / 2 - wide / this.view.scale / 2;
      this.view.y = y + down / 2 - tall / this.view.scale / 2;
    }
    announce(cellWords(this.layout.cells.ref[cell]).join(", "));
    if (open) this.open(cell);
    this.draw();
  }

  goToRow(row) {
    const cell = this.layout.cells.ref.indexOf(row);
    const wanted = 24 / extentOf(this.layout.cells.order[cell])[1];
    if (this.view.scale < wanted) this.view.scale = Math.min(MOST_SCALE, wanted);
    this.goTo(cell, { open: true });
  }

  open(cell) {
    this.opened = this.layout.cells.ref[cell];
    showDetail(this.detail, this.opened);
  }
}

// What a cell of the map is, in lines.
function cellWords(ref) {
  const { folios, bins } = store;
  if (ref < 0) {
    const bin = -1 - ref;
    const who = bins.mm[bin] < 0 ? "several processes" : `lowest process ${mmWords(bins.mm[bin])}`;
    return [`${plural(bins.folios[bin], "folio")} of ${sizeWords(bins.kind[bin], bins.order[bin])}, binned`, stateWords(bins.state[bin]),
      who, `${formatBytes(bins.wasted[bin] * store.page_size)} wasted`];
  }
  const who = pairsOf(ref);
  const names = who.slice(0, 3).map((pair) => mmWords(pair.mm)).join(", ");
  const lines = [`Folio ${folios.id[ref]}: ${sizeWords(folios.kind[ref], folios.order[ref])}`,
    `${stateWords(folios.state[ref])}; ${formatCount(folios.mapped[ref])} of ${plural(pagesOf(ref), "page")} mapped`,
    who.length > 3 ? `${names} and ${who.length - 3} more` : names || "processes not seen"];
  return folios.wasted[ref] ? [...lines, `${formatBytes(folios.wasted[ref] * store.page_size)} wasted`] : lines;
}
