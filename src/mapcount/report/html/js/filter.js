// What is typed into a filter: words that some text must hold, and conditions such as wasted>1M. All must be met.

const SCALE = { K: KIB, M: KIB ** 2, G: KIB ** 3 };
const CONDITION = /^(.+?)(>=|<=|>|<|=)(-?[\d.]+)([KMG]?)(?:i?B)?$/i;

function parseCondition(term, columns) {
  const found = CONDITION.exec(term);
  if (!found) return null;
  const [, title, sign, digits, unit] = found;
  const index = columns.findIndex((column) => column.title.toLowerCase().replaceAll(" ", "-") === title.toLowerCase());
  if (index < 0 || columns[index].unit === "text") return null;
  const limit = Number(digits) * (SCALE[unit.toUpperCase()] ?? 1);
  const tests = {
    ">": (value) => value > limit, ">=": (value) => value >= limit,
    "<": (value) => value < limit, "<=": (value) => value <= limit, "=": (value) => value === limit,
  };
  return (row) => tests[sign](row[index]);
}

// Return a function that says whether a row is to be shown.
function parseFilter(text, columns) {
  const texts = columns.flatMap((column, i) => (["text", "number"].includes(column.unit) ? [i] : []));
  const holds = (word) => (row) => texts.some((i) => String(row[i]).toLowerCase().includes(word));
  const terms = text.trim().split(/\s+/).filter(Boolean);
  const tests = terms.map((term) => parseCondition(term, columns) ?? holds(term.toLowerCase()));
  return (row) => tests.every((test) => test(row));
}
