// Numbers as a reader sees them, by the rules of src/mapcount/units.py (a test compares the two).

const KIB = 1024;
const STEPS = [["KiB", KIB], ["MiB", KIB ** 2], ["GiB", KIB ** 3], ["TiB", KIB ** 4]];

function roundHalfEven(value) {
  const below = Math.floor(value);
  const tie = value - below === 0.5;
  return tie ? below + (below % 2) : Math.round(value);
}

function formatBytes(size) {
  if (size === 0) return "0";
  const sign = size < 0 ? "-" : "";
  size = Math.abs(size);
  if (size < KIB) return `${sign}${size} B`;
  const [unit, step] = STEPS.find(([name, step]) => size < 999.5 * step || name === "TiB");
  const value = size / step;
  const decimals = value < 99.95 && step > KIB ? 1 : 0;
  const rounded = decimals ? roundHalfEven(value * 10) / 10 : roundHalfEven(value);
  return `${sign}${rounded.toFixed(decimals)} ${unit}`;
}

const COUNTS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });

function formatCount(count) {
  return COUNTS.format(count);
}

function formatFolioSize(order, pageSize) {
  const size = pageSize * 2 ** order;
  for (const [unit, step] of [["G", KIB ** 3], ["M", KIB ** 2]]) {
    if (size >= step) return `${Math.floor(size / step)}${unit}`;
  }
  return `${Math.floor(size / KIB)}K`;
}

function formatShare(part, whole) {
  return whole ? `${(100 * part / whole).toFixed(1)}%` : "-";
}

function plural(count, one, many = `${one}s`) {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

const FORMATS = {
  text: String,
  number: String,
  count: formatCount,
  bytes: formatBytes,
  change_count: (value) => (value > 0 ? "+" : "") + formatCount(value),
  change_bytes: (value) => (value > 0 ? "+" : "") + formatBytes(value),
  by_unit: (value, unit) => (unit === "bytes" ? formatBytes(value) : formatCount(value)),
  change_by_unit: (value, unit) => (value > 0 ? "+" : "") + FORMATS.by_unit(value, unit),
  percent: (value) => `${value > 0 ? "+" : ""}${value.toFixed(1)}%`,
};
