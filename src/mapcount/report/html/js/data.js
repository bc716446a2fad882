// The data that stands in the page: read once; the large part is unpacked when it is asked for.

const page = JSON.parse(byId("page-data").textContent);
const blocks = new Map(page.blocks.map((block) => [block.id, block]));

async function unpack() {
  const text = atob(byId("packed-data").textContent);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

function columnIndex(table, key) {
  return table.columns.findIndex((column) => column.key === key);
}
