// One folio: what it is, who maps which of its pages, and where. From here it goes on to the processes.

const BY = ["PTEs", "PMDs", "PMDs and PTEs"];

function showDetail(place, ref) {
  if (ref < 0) {
    const more = "These are not in the page one by one: there are too many. A report of fewer processes (--pid, --cgroup) shows all.";
    place.replaceChildren(make("h3", { tabindex: "-1" }, "Binned folios"), ...cellWords(ref).map((line) => make("p", {}, line)),
      make("p", { class: "note" }, more));
    return;
  }
  const { folios } = store;
  const facts = [
    ["state", stateWords(folios.state[ref])],
    ["mapped", `${formatCount(folios.mapped[ref])} of ${plural(pagesOf(ref), "page")}, by ${BY[folios.level[ref]]}`],
    ["wasted", formatBytes(folios.wasted[ref] * store.page_size) + (folios.swapcache[ref] ? ": it is in the swap cache" : "")],
    ["mappings", `${formatCount(folios.mappings[ref])} of pages; a PMD counts one for each`],
    ["charged to", store.cgroups[folios.cgroup[ref]] || "no cgroup, or unknown"],
    ["node", folios.node[ref] < 0 ? "unknown" : String(folios.node[ref])],
    ["verdict", store.verdicts[folios.verdict[ref]]],
  ];
  const list = facts.flatMap(([name, words]) => [make("dt", {}, name), make("dd", {}, words)]);
  place.replaceChildren(
    make("h3", { tabindex: "-1" }, `Folio ${folios.id[ref]}: ${sizeWords(folios.kind[ref], folios.order[ref])}`),
    make("dl", { class: "facts" }, ...list), ...mappers(ref));
}

function mappers(ref) {
  const runs = runsOf(ref);
  const found = pairsOf(ref).map(({ mm, pages }) => mapper(ref, mm, pages, runs.filter((run) => run.mm === mm)));
  const note = (is, words) => (is ? [make("p", { class: "note" }, words)] : []);
  const hidden = note(store.folios.unseen[ref], "Some process that was not read maps it too: the kernel counts more than was seen.");
  const left = note(!runs.length && found.length, "Which pages is left out for size.");
  return [make("h4", {}, plural(found.length, "process maps it", "processes map it")), ...found, ...hidden, ...left];
}

function mapper(ref, mm, pages, runs) {
  const to = make("button", { type: "button", class: "pick to-process", onclick: () => goToProcess(mm) }, mmWords(mm));
  const all = make("button", {
    type: "button", onclick: () => select({ kind: "mm", key: mm, words: `process ${store.mms.pid[mm]} ${store.mms.comm[mm]}` }),
  }, "its folios");
  const head = make("div", { class: "mapper" }, to, ` ${plural(pages, "page")} `, all);
  return make("div", {}, head, ...(runs.length ? [strip(pagesOf(ref), runs), places(runs)] : []));
}

function goToProcess(mm) {
  const table = tables.get("processes-table");
  if (!table?.reveal(mm)) announce("This process is not in the table");
}

const MOST_PLACES = 12;

function places(runs) {
  const line = (run) => make("li", {}, `${run.level} ${run.first}:${run.end} at 0x${run.address.toString(16)}, ${run.path} ${run.perms}`);
  const more = runs.length > MOST_PLACES ? [make("li", {}, `${formatCount(runs.length - MOST_PLACES)} more stretches`)] : [];
  return make("ul", { class: "places" }, ...runs.slice(0, MOST_PLACES).map(line), ...more);
}
