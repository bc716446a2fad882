// The folios, unpacked: parallel columns, a row a folio. Pairs (who maps how many pages of it) and runs (which) of row i are
// those from begin[i] to begin[i + 1]; pairs name rows of `mms`, runs name rows of `vmas`. Bins stand for folios alike.

let store = null;

function beginsOf(counts) {
  const begins = new Uint32Array(counts.length + 1);
  counts.forEach((count, i) => { begins[i + 1] = begins[i] + count; });
  return begins;
}

function loadFolios(data) {
  const { pairs, runs } = data.folios;
  store = { ...data, pairBegin: beginsOf(pairs), runBegin: beginsOf(runs), count: pairs.length, binCount: data.bins.kind.length };
}

function pagesOf(row) {
  return 2 ** store.folios.order[row];
}

function pairsOf(row) {
  const found = [];
  for (let i = store.pairBegin[row]; i < store.pairBegin[row + 1]; i++) {
    found.push({ mm: store.pairs.mm[i], pages: store.pairs.pages[i] });
  }
  return found;
}

function runsOf(row) {
  const { vma, page: place, first, pages, level } = store.runs;
  const found = [];
  for (let i = store.runBegin[row]; i < store.runBegin[row + 1]; i++) {
    const area = vma[i];
    found.push({
      mm: store.vmas.mm[area], path: store.vmas.path[area] || "anon", perms: store.vmas.perms[area],
      address: BigInt(store.vmas.start[area]) + BigInt(place[i]) * BigInt(store.page_size),
      first: first[i], end: first[i] + pages[i], level: store.levels[Math.min(level[i], 1)],
    });
  }
  return found;
}

// The lowest mm of a folio that was seen mapping it, as bins have it; -1: none.
function firstMm(row) {
  return store.pairBegin[row] < store.pairBegin[row + 1] ? store.pairs.mm[store.pairBegin[row]] : -1;
}

function mmWords(mm) {
  return mm < 0 ? "processes not seen, or several" : `${store.mms.comm[mm]} (${store.mms.pid[mm]})`;
}

function sizeWords(kind, order) {
  return `${store.kinds[kind]} ${formatFolioSize(order, store.page_size)}`;
}

function stateWords(state) {
  return STATES.find(([name]) => name === store.states[state])[1];
}

// Say which rows and which bins a selection means. A bin knows the lowest of its processes alone, and no cgroup.
function picked({ kind, key, ...cell }) {
  const { folios, bins, mms } = store;
  if (kind === "all") return { row: () => true, bin: () => true };
  if (kind === "size") {
    const test = (columns) => (i) => store.kinds[columns.kind[i]] === cell.folioKind && columns.order[i] === cell.order
      && store.states[columns.state[i]] === cell.state;
    return { row: test(folios), bin: test(bins) };
  }
  if (kind === "cgroup") return { row: (i) => store.cgroups[folios.cgroup[i]] === key, bin: () => false };
  const mine = kind === "mm" ? (mm) => mm === key : (mm) => mm >= 0 && mms.comm[mm] === key;
  return { row: (i) => pairsOf(i).some((pair) => mine(pair.mm)), bin: (i) => mine(bins.mm[i]) };
}
