// Puts each block in its place. What has to be unpacked comes after what can be shown at once.

const BUILDERS = {
  table: (block) => {
    const table = new DataTable(block, { pick: byId("folio-map") ? pickerOf(block) : null });
    tables.set(block.id, table);
    return table.element;
  },
  matrix: (block) => new Matrix(block).element,
};
const tables = new Map();

function start() {
  startTheme();
  for (const block of page.blocks) {
    const build = BUILDERS[block.kind];
    if (build) byId(block.id).append(build(block));
  }
  document.documentElement.dataset.ready = "yes";
}

start();
