// Which folios are picked: all, those of a cell of the matrix, of a process, a program or a cgroup. Others watch.

const selectionWatchers = [];
let selection = { kind: "all", words: "all folios" };

function select(next) {
  selection = next;
  for (const watcher of selectionWatchers) watcher(selection);
  announce(`Shown: ${selection.words}`);
}

function selectAll() {
  select({ kind: "all", words: "all folios" });
}

// What a click on a row of a table does.
function pickerOf(table) {
  if (!table.picks) return null;
  const name = { mm: "comm", program: "name", cgroup: "name" }[table.picks];
  return (index) => {
    const row = table.rows[index];
    const pid = table.picks === "mm" ? `process ${row[columnIndex(table, "pid")]} ` : `${table.picks} `;
    select({ kind: table.picks, key: table.keys[index], words: pid + row[columnIndex(table, name)] });
    byId("folios").scrollIntoView();
  };
}
