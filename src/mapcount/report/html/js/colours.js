// What the colours of the map say: for each choice the words, glyph and tone of its values, and the value of a folio or bin.

const COLOURINGS = {
  state: {
    words: "state",
    legend: () => store.states.map((name, i) => [stateWords(i), GLYPHS[name], name]),
    of: (columns, i) => columns.state[i],
  },
  level: {
    words: "page-table level",
    legend: () => [["mapped by PTEs", "T", "plain"], ["mapped by PMDs", "M", "whole-shared"], ["by both", "B", "part"]],
    of: (columns, i) => columns.level[i],
  },
  kind: {
    words: "kind",
    legend: () => store.kinds.map((kind, i) =>
      [kind, kind[0].toUpperCase(), ["plain", "second", "third", "whole-shared", "part", "unknown", "unknown"][i]]),
    of: (columns, i) => columns.kind[i],
  },
  waste: {
    words: "waste",
    legend: () => [["nothing wasted", "·", "second"], ["less than half", "◔", "part"], ["half or more", "●", "waste"]],
    of: (columns, i, pages) => (columns.wasted[i] === 0 ? 0 : columns.wasted[i] * 2 < pages ? 1 : 2),
  },
};

// The values that occur, for a legend; and the value of each cell of the map by its ref.
function coloursOf(name) {
  const { of, legend } = COLOURINGS[name];
  const { folios, bins } = store;
  const ofRow = Uint8Array.from({ length: store.count }, (_, i) => of(folios, i, pagesOf(i)));
  const ofBin = Uint8Array.from({ length: store.binCount }, (_, i) => of(bins, i, bins.folios[i] * 2 ** bins.order[i]));
  const occurs = new Set([...ofRow, ...ofBin]);
  return { values: legend(), occurs, of: (ref) => (ref >= 0 ? ofRow[ref] : ofBin[-1 - ref]) };
}
