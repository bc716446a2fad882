// The folios that are picked, as a table: what the map shows, for who reads rather than looks.

const FOLIO_COLUMNS = [
  ["id", "folio", "number"], ["kind", "kind", "text"], ["size_bytes", "size", "bytes"], ["state", "state", "text"], ["by", "by", "text"],
  ["mapped_pages", "pages mapped", "count"], ["mappings", "mappings", "count"], ["mms", "mms", "count"], ["process", "first process", "text"],
  ["cgroup", "cgroup", "text"], ["node", "node", "number"], ["verdict", "verdict", "text"], ["wasted_bytes", "wasted", "bytes"],
].map(([key, title, unit]) => ({ key, title, unit, says: "" }));

function folioRow(i) {
  const f = store.folios;
  const mm = firstMm(i);
  return [f.id[i], store.kinds[f.kind[i]], pagesOf(i) * store.page_size, stateWords(f.state[i]), store.levels[f.level[i]], f.mapped[i],
    f.mappings[i], store.pairBegin[i + 1] - store.pairBegin[i], mm < 0 ? "" : mmWords(mm), store.cgroups[f.cgroup[i]], f.node[i],
    store.verdicts[f.verdict[i]], f.wasted[i] * store.page_size];
}

function folioTable(block, map) {
  const rowsOf = () => [...Array(store.count).keys()].filter((i) => map.pickedRows[i]);
  const table = new DataTable({
    id: "folio-table", caption: block.caption, columns: FOLIO_COLUMNS, rows: [], keys: [], sort: "", left_out: 0, folded: false,
  }, { pick: (index) => map.goToRow(table.block.keys[index]) });
  const fill = () => {
    const rows = rowsOf();
    table.block.left_out = map.pickedBins.reduce((sum, is, bin) => sum + is * store.bins.folios[bin], 0);
    table.replace(rows.map(folioRow), rows);
  };
  selectionWatchers.push(fill);
  fill();
  return table;
}
