// Pointer, wheel and keys on the map.

const STEP_PIXELS = 60;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function startPointer(map) {
  const { canvas } = map;
  let drag = null;
  canvas.addEventListener("wheel", (event) => {
    // Who scrolls the page past the map does not mean to zoom it.
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    map.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.offsetX, y: event.offsetY, moved: 0 };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const [x, y] = [event.offsetX - drag.x, event.offsetY - drag.y];
      drag = { x: event.offsetX, y: event.offsetY, moved: drag.moved + Math.abs(x) + Math.abs(y) };
      if (drag.moved > 4) map.move(-x, -y);
      return;
    }
    const cell = map.cellAt(event.offsetX, event.offsetY);
    if (cell < 0) hideTooltip();
    else showTooltip(cellWords(map.layout.cells.ref[cell]), event.clientX, event.clientY);
    if (cell !== map.hovered) {
      map.hovered = cell;
      map.draw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const clicked = drag && drag.moved <= 4;
    drag = null;
    if (!clicked) return;
    const cell = map.cellAt(event.offsetX, event.offsetY);
    if (cell >= 0) map.goTo(cell, { open: true });
  });
  canvas.addEventListener("pointerleave", () => {
    hideTooltip();
    map.hovered = -1;
    map.draw();
  });
}

// The next cell from the current one in a direction, over what is blank; the current one at the edge.
function neighbour(map, across, down) {
  const { layout } = map;
  if (map.current < 0) return layout.cells.start.length ? 0 : -1;
  const [width, height] = extentOf(layout.cells.order[map.current]);
  const [x, y] = [layout.cells.x[map.current], layout.cells.y[map.current]];
  let [atX, atY] = [x + width / 2 + across * (width / 2 + 0.25), y + height / 2 + down * (height / 2 + 0.25)];
  while (atX >= 0 && atY >= 0 && atX < layout.width && atY < layout.height) {
    const cell = cellOf(layout, placeAt(layout, atX, atY));
    if (cell >= 0 && cell !== map.current) return cell;
    [atX, atY] = [atX + across, atY + down];
  }
  return map.current;
}

// Do what a key says; true if it says something.
function keyOnMap(map, event) {
  const middle = [map.canvas.clientWidth / 2, map.canvas.clientHeight / 2];
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) map.move(arrow[0] * STEP_PIXELS, arrow[1] * STEP_PIXELS);
  else if (arrow) {
    const cell = neighbour(map, ...arrow);
    if (cell >= 0) map.goTo(cell);
  } else if (event.key === "+" || event.key === "=") map.zoom(1.5, ...middle);
  else if (event.key === "-") map.zoom(1 / 1.5, ...middle);
  else if (event.key === "0") map.fit();
  else if (event.key === "Enter" && map.current >= 0) {
    map.open(map.current);
    byId("folio-detail").querySelector("h3").focus();
  } else return false;
  return true;
}
