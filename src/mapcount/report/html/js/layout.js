// Where each folio lies in the map. All pages are on one line, bent into a Z-order curve, on which every naturally aligned
// block of 2^k pages is a rectangle of 2^ceil(k/2) by 2^floor(k/2). Tiles of that curve are laid out like text. A group begins
// a tile; in it the largest come first, so all are aligned and nothing is left between them. The unit is a page's side.

const MOST_GROUPS = 24;
const LEAST_TILE_ORDER = 10;

const GROUPINGS = {
  size: ["kind and size", (c, i) => sizeWords(c.kind[i], c.order[i])],
  state: ["state", (c, i) => stateWords(c.state[i])],
  process: ["process", (c, i, mm) => mmWords(mm)],
  program: ["program", (c, i, mm) => (mm < 0 ? mmWords(mm) : store.mms.comm[mm])],
  cgroup: ["cgroup", (c, i) => (c.cgroup ? store.cgroups[c.cgroup[i]] || "(none)" : "binned folios")],
  none: ["nothing", () => "large folios"],
};

// What is to be laid out: folios, and bins cut into blocks of 2^k of their folios. `ref` is the row, or -1 - bin.
function* pieces(groupOf, tileOrder) {
  const { folios, bins } = store;
  for (let i = 0; i < store.count; i++) {
    yield { group: groupOf(folios, i, firstMm(i)), order: folios.order[i], ref: i };
  }
  for (let bin = 0; bin < store.binCount; bin++) {
    const group = groupOf(bins, bin, bins.mm[bin]);
    let left = bins.folios[bin];
    while (left > 0) {
      const order = Math.min(bins.order[bin] + Math.floor(Math.log2(left)), tileOrder);
      yield { group, order, ref: -1 - bin };
      left -= 2 ** (order - bins.order[bin]);
    }
  }
}

function groupPieces(grouping, tileOrder) {
  const groups = new Map();
  for (const piece of pieces(GROUPINGS[grouping][1], tileOrder)) {
    if (!groups.has(piece.group)) groups.set(piece.group, { name: piece.group, pages: 0, pieces: [] });
    const group = groups.get(piece.group);
    group.pages += 2 ** piece.order;
    group.pieces.push(piece);
  }
  const ranked = [...groups.values()].sort((a, b) => b.pages - a.pages);
  const rest = ranked.splice(MOST_GROUPS);
  if (rest.length) {
    ranked.push({
      name: `${formatCount(rest.length)} smaller ones`, pages: rest.reduce((sum, group) => sum + group.pages, 0),
      pieces: rest.flatMap((group) => group.pieces),
    });
  }
  return ranked;
}

function layOut(grouping, aspect) {
  const largest = Math.max(0, ...store.folios.order, ...store.bins.order);
  const tileOrder = Math.max(LEAST_TILE_ORDER, largest + (largest % 2));
  const tilePages = 2 ** tileOrder;
  const groups = groupPieces(grouping, tileOrder);
  const total = groups.reduce((sum, group) => sum + group.pieces.length, 0);
  const cells = { start: new Float64Array(total), order: new Uint8Array(total), ref: new Int32Array(total) };
  let at = 0;
  let cell = 0;
  for (const group of groups) {
    at = Math.ceil(at / tilePages) * tilePages;
    group.start = at;
    group.pieces.sort((a, b) => b.order - a.order);
    for (const { order, ref } of group.pieces) {
      [cells.start[cell], cells.order[cell], cells.ref[cell++]] = [at, order, ref];
      at += 2 ** order;
    }
    group.end = at;
    delete group.pieces;
  }
  const tiles = Math.max(1, Math.ceil(at / tilePages));
  const side = 2 ** (tileOrder / 2);
  const columns = Math.min(tiles, Math.max(1, Math.ceil(Math.sqrt(tiles * aspect))));
  const layout = { cells, groups, tilePages, side, columns, width: columns * side, height: Math.ceil(tiles / columns) * side };
  [cells.x, cells.y] = [new Float64Array(total), new Float64Array(total)];
  cells.start.forEach((start, i) => { [cells.x[i], cells.y[i]] = cornerOf(layout, start); });
  return layout;
}

function evenBits(value) {
  let found = 0;
  for (let bit = 0; value >= 1; bit++, value = Math.floor(value / 4)) found += (value % 2) * 2 ** bit;
  return found;
}

// The corner of the page at this place of the curve.
function cornerOf(layout, place) {
  const tile = Math.floor(place / layout.tilePages);
  const within = place % layout.tilePages;
  const x = (tile % layout.columns) * layout.side + evenBits(within);
  return [x, Math.floor(tile / layout.columns) * layout.side + evenBits(Math.floor(within / 2))];
}

function extentOf(order) {
  return [2 ** Math.ceil(order / 2), 2 ** Math.floor(order / 2)];
}

// The place of the curve at a point, and -1 outside of it.
function placeAt(layout, x, y) {
  if (x < 0 || y < 0 || x >= layout.width || y >= layout.height) return -1;
  const tile = Math.floor(y / layout.side) * layout.columns + Math.floor(x / layout.side);
  let [within, across, down] = [0, Math.floor(x % layout.side), Math.floor(y % layout.side)];
  for (let bit = 1; across || down; bit *= 4, across >>= 1, down >>= 1) within += bit * ((across & 1) + 2 * (down & 1));
  return tile * layout.tilePages + within;
}

// The cell that holds a place, or -1.
function cellOf(layout, place) {
  const { start, order } = layout.cells;
  let [low, high] = [0, start.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start[middle] <= place) low = middle + 1;
    else high = middle;
  }
  const cell = low - 1;
  return place >= 0 && cell >= 0 && place < start[cell] + 2 ** order[cell] ? cell : -1;
}
