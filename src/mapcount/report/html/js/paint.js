// Draws the map on its canvas: cells in their colours, glyphs and pages where there is room, hatching for what nobody maps.

const GLYPH_PIXELS = 15;
const PAGE_PIXELS = 4;

function hatch(context, colour, gap) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = gap;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1.2;
  pen.beginPath();
  for (const shift of [-gap, 0, gap]) {
    pen.moveTo(shift, gap);
    pen.lineTo(shift + gap, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

function paletteOf(context, colours) {
  return {
    fills: colours.values.map(([, , name]) => tone(name)),
    ground: tone("raised"), ink: tone("cell-ink"), line: tone("ground"), edge: tone("ink"), faint: tone("faint"),
    waste: hatch(context, tone("waste"), 6), unmapped: hatch(context, tone("faint"), 6),
    binned: hatch(context, `color-mix(in srgb, ${tone("cell-ink")} 40%, transparent)`, 8),
  };
}

// Fill the pages of a folio that nobody maps: one by one if its runs are known and there is room, else as a share.
function paintUnmapped(context, palette, map, row, start, x, y, width, height) {
  const pages = pagesOf(row);
  const { mapped } = store.folios;
  if (mapped[row] >= pages) return;
  const blank = (left, top, across, down) => {
    context.fillStyle = palette.ground;
    context.fillRect(left, top, across, down);
    context.fillStyle = store.folios.wasted[row] ? palette.waste : palette.unmapped;
    context.fillRect(left, top, across, down);
  };
  const { scale } = map.view;
  if (scale < PAGE_PIXELS || store.runBegin[row] === store.runBegin[row + 1] || store.folios.unseen[row]) {
    const part = height * (1 - mapped[row] / pages);
    blank(x, y + height - part, width, part);
    return;
  }
  const side = scale < 2 * PAGE_PIXELS ? scale : scale - 1;
  const seen = new Uint8Array(pages);
  for (const run of runsOf(row)) seen.fill(1, run.first, run.end);
  seen.forEach((is, page) => {
    if (is) return;
    const [left, top] = map.toScreen(...cornerOf(map.layout, start + page));
    blank(left, top, side, side);
  });
}

function paint(map) {
  const { canvas, layout, colours } = map;
  const ratio = devicePixelRatio;
  const context = canvas.getContext("2d");
  const [wide, tall] = [canvas.width / ratio, canvas.height / ratio];
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const palette = paletteOf(context, colours);
  context.fillStyle = palette.ground;
  context.fillRect(0, 0, wide, tall);
  context.textAlign = "center";
  context.textBaseline = "middle";
  const { ref } = layout.cells;
  for (let cell = 0; cell < ref.length; cell++) {
    const box = boxOf(map, cell);
    if (box.x > wide || box.y > tall || box.x + box.width < 0 || box.y + box.height < 0) continue;
    context.globalAlpha = map.isPicked(ref[cell]) ? 1 : 0.15;
    paintCell(context, palette, map, cell, box);
  }
  context.globalAlpha = 1;
  paintMarks(context, palette, map, wide);
}

// Where a cell is on the screen, in whole pixels. Neighbours round the same edge, so that no seam shows through.
function boxOf(map, cell) {
  const { cells } = map.layout;
  const [across, down] = extentOf(cells.order[cell]);
  const [x, y] = map.toScreen(cells.x[cell], cells.y[cell]).map(Math.round);
  const [right, bottom] = map.toScreen(cells.x[cell] + across, cells.y[cell] + down).map(Math.round);
  const gap = cells.ref[cell] >= 0 && down * map.view.scale >= 6 ? 1 : 0;
  return { x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y), gap };
}

function paintCell(context, palette, map, cell, { x, y, width, height, gap }) {
  const { ref, start } = map.layout.cells;
  const value = map.colours.of(ref[cell]);
  context.fillStyle = palette.fills[value];
  context.fillRect(x, y, width - gap, height - gap);
  if (ref[cell] < 0) {
    context.fillStyle = palette.binned;
    context.fillRect(x, y, width, height);
  } else if (height > 3) {
    paintUnmapped(context, palette, map, ref[cell], start[cell], x, y, width - gap, height - gap);
  }
  const room = Math.min(width, height);
  if (room >= GLYPH_PIXELS) {
    paintGlyph(context, palette, map.colours.values[value][1], palette.fills[value], x + width / 2, y + height / 2, room);
  }
}

// A glyph stands on its colour, which hatching may have covered.
function paintGlyph(context, palette, glyph, fill, x, y, room) {
  const size = Math.min(22, room * 0.55);
  context.font = `${size}px system-ui, sans-serif`;
  if (room > 2 * GLYPH_PIXELS) {
    context.fillStyle = fill;
    context.fillRect(x - size * 0.7, y - size * 0.7, size * 1.4, size * 1.4);
  }
  context.fillStyle = palette.ink;
  context.fillText(glyph, x, y);
}

// A frame around the folio that is looked at, and the names of groups where they begin.
function paintMarks(context, palette, map, wide) {
  const { layout, view } = map;
  for (const [cell, dash] of [[map.hovered, [3, 3]], [map.current, []]]) {
    if (cell >= 0) paintFrame(context, palette, boxOf(map, cell), dash);
  }
  context.setLineDash([]);
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "left";
  for (const group of layout.groups) {
    const [x, y] = map.toScreen(...cornerOf(layout, group.start));
    const tiles = Math.min(layout.columns, Math.ceil((group.end - group.start) / layout.tilePages));
    const room = tiles * layout.side * view.scale;
    if (room < 60 || x + room < 0 || x > wide) continue;
    const words = shorten(context, group.name, Math.min(room, wide) - 12);
    const width = context.measureText(words).width + 8;
    context.fillStyle = palette.edge;
    context.fillRect(Math.max(0, x), y, width, 17);
    context.fillStyle = palette.line;
    context.fillText(words, Math.max(0, x) + 4, y + 9);
  }
}

function paintFrame(context, palette, { x, y, width, height }, dash) {
  for (const [colour, thick, dashes] of [[palette.line, 5, []], [palette.edge, 2.5, dash]]) {
    context.setLineDash(dashes);
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.strokeRect(x, y, Math.max(width, 5), Math.max(height, 5));
  }
}

function shorten(context, words, room) {
  if (context.measureText(words).width <= room) return words;
  let kept = words.length;
  while (kept > 1 && context.measureText(`${words.slice(0, kept)}…`).width > room) kept--;
  return `${words.slice(0, kept)}…`;
}
