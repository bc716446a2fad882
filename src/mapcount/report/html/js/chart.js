// Charts of tables of the page, drawn by ECharts: horizontal bars, or lines. Values and names come from the table alone.

const BAR_PIXELS = 26;

function chartRows(block, table) {
  const names = block.category.map((key) => columnIndex(table, key));
  const values = block.series.map((series) => columnIndex(table, series.key));
  const unit = columnIndex(table, "unit");
  const drawn = block.only ? table.rows.filter((row) => row[unit] === block.only) : table.rows;
  let rows = drawn.map((row) => ({ name: names.map((i) => row[i]).join(" "), values: values.map((i) => row[i]) }));
  if (block.top) {
    const size = (row) => row.values.reduce((sum, value) => sum + Math.abs(value), 0);
    rows = rows.filter(size).sort((a, b) => size(b) - size(a)).slice(0, block.top);
  }
  return rows;
}

function axisStyle() {
  return { axisLabel: { color: tone("ink") }, axisLine: { lineStyle: { color: tone("line") } }, splitLine: { lineStyle: { color: tone("line") } } };
}

// The ends and ticks of an axis of bytes: multiples of a power of two, so that their labels are round. Counts: no fractions.
function ticksOf(block, rows) {
  if (!block.unit.endsWith("bytes")) return block.unit === "percent" ? {} : { minInterval: 1 };
  const sums = rows.map((row) => (block.stacked ? [row.values.reduce((a, b) => a + b, 0)] : row.values)).flat();
  const [least, most] = [Math.min(0, ...sums), Math.max(0, ...sums)];
  if (least === most) return {};
  const interval = 2 ** Math.ceil(Math.log2((most - least) / 5));
  return { interval, min: Math.floor(least / interval) * interval, max: Math.ceil(most / interval) * interval };
}

function chartOption(block, rows) {
  const write = FORMATS[block.unit];
  const bars = block.form === "bars";
  const places = {
    type: "category", data: rows.map((row) => row.name), inverse: bars, ...axisStyle(), splitLine: { show: false },
    axisLabel: { color: tone("ink"), width: bars ? 220 : undefined, overflow: "truncate", margin: 12 },
  };
  const { axisLabel, ...style } = axisStyle();
  const values = {
    type: "value", ...style, ...ticksOf(block, rows),
    axisLabel: { ...axisLabel, formatter: write, hideOverlap: true },
  };
  const many = block.series.length > 1;
  const symbols = ["circle", "diamond", "triangle", "rect", "pin"];
  return {
    animation: false,
    aria: { enabled: true, decal: { show: many && bars } },
    textStyle: { fontFamily: "system-ui, sans-serif" },
    grid: { left: 8, right: 90, top: many ? 34 : 8, bottom: 8, containLabel: true },
    legend: { show: many, textStyle: { color: tone("ink") }, top: 0, left: 0 },
    // Drawn on the canvas: as elements it would need style attributes, which the page's policy forbids.
    tooltip: {
      trigger: "axis", renderMode: "richText", axisPointer: { type: bars ? "shadow" : "line" },
      backgroundColor: tone("ink"), borderWidth: 0, textStyle: { color: tone("ground") },
      formatter: (points) => [points[0].name, ...points.map((point) => `${point.seriesName}: ${write(point.value)}`)].join("\n"),
    },
    xAxis: bars ? values : places,
    yAxis: bars ? places : values,
    series: block.series.map((series, i) => ({
      name: series.title, type: bars ? "bar" : "line", data: rows.map((row) => row.values[i]), barMaxWidth: 18,
      stack: block.stacked ? "all" : undefined, symbol: symbols[i % symbols.length], symbolSize: 8,
      itemStyle: { color: tone(series.tone) }, lineStyle: { color: tone(series.tone), width: 2, type: ["solid", "dashed", "dotted"][i % 3] },
      label: { show: bars && !many, position: "right", color: tone("ink"), formatter: (point) => write(point.value) },
    })),
  };
}

function chartFigure(block) {
  const table = blocks.get(block.table);
  const rows = chartRows(block, table);
  const bars = block.form === "bars";
  const height = bars ? rows.length * Math.max(BAR_PIXELS, 16 * (block.stacked ? 1 : block.series.length)) + 70 : 300;
  const box = make("div", { class: "drawing", tabindex: "0", role: "group", "aria-label": `${block.caption}. Arrow keys go through it.` });
  box.style.height = `${height}px`;
  const columns = [{ key: block.category.join("_") }, ...block.series.map((series) => ({ key: series.key }))];
  const numbers = make("a", { href: `#${block.table}` }, `All its numbers: ${table.caption}`);
  const bar = make("div", { class: "bar" }, make("h3", {}, block.caption), numbers,
    make("span", { class: "downloads" }, ...downloadButtons(block.id, columns, () => rows.map((row) => [row.name, ...row.values]))));
  drawLater(box, () => drawChart(block, rows, box));
  return make("figure", {}, bar, box);
}

// Charts are drawn when they come into sight, or onto paper: ECharts measures its place, and many charts take a while.
const undrawn = new Map();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) drawNow(target);
}, { rootMargin: "400px" });

function drawLater(box, draw) {
  undrawn.set(box, draw);
  sight.observe(box);
}

function drawNow(box) {
  sight.unobserve(box);
  undrawn.get(box)?.();
  undrawn.delete(box);
}

function drawAll() {
  for (const box of [...undrawn.keys()]) drawNow(box);
}

function drawChart(block, rows, box) {
  const chart = echarts.init(box);
  const redraw = () => {
    chart.setOption(chartOption(block, rows), true);
    chart.getZr().flush();
  };
  redraw();
  themeWatchers.push(redraw);
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (box.clientWidth !== width) chart.resize();
    width = box.clientWidth;
  }).observe(box);
  let at = -1;
  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    at = Math.max(0, Math.min(rows.length - 1, at + step));
    chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: at });
    announce([rows[at].name, ...block.series.map((series, i) => `${series.title} ${FORMATS[block.unit](rows[at].values[i])}`)].join(", "));
  });
  box.addEventListener("blur", () => chart.dispatchAction({ type: "hideTip" }));
}
