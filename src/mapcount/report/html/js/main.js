// Puts each block in its place. What has to be unpacked comes after what can be shown at once.

const BUILDERS = {
  table: (block) => {
    const table = new DataTable(block, { pick: byId("folio-map") ? pickerOf(block) : null });
    tables.set(block.id, table);
    return table.element;
  },
  matrix: (block) => new Matrix(block).element,
  chart: chartFigure,
};

// What is packed is of the folio map, or of a scenario's steps.
async function showPacked() {
  if (!byId("packed-data")) return;
  const place = byId("folio-map") ?? byId("steps-player");
  try {
    const data = await unpack();
    if (place.id === "folio-map") showFolios(data, place);
    else place.append(new StepPlayer(blocks.get("steps-player"), data.steps).element);
  } catch (error) {
    place.append(make("p", { class: "warning" }, `This browser could not show what is packed (${error.message}).`));
    throw error;
  }
}

function showFolios(data, place) {
  loadFolios(data);
  const map = new FolioMap(blocks.get("folio-map"));
  place.append(map.element);
  map.resize(true);
  tables.set("folio-table", folioTable(blocks.get("folio-table"), map));
  byId("folio-table").append(tables.get("folio-table").element);
}

async function start() {
  startTheme();
  for (const block of page.blocks) {
    const build = BUILDERS[block.kind];
    if (build) byId(block.id).append(build(block));
  }
  themeWatchers.push(() => paper && drawAll());
  await showPacked();
  document.documentElement.dataset.ready = "yes";
}

start();
