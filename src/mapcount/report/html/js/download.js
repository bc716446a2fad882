// Tables as files, made by the browser from what stands in the page.

function csvCell(value) {
  let text = String(value);
  // A name that begins like a formula would be run by a spreadsheet.
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvOf(columns, rows) {
  const lines = [columns.map((column) => column.key), ...rows];
  return lines.map((cells) => cells.map(csvCell).join(",") + "\n").join("");
}

function jsonOf(columns, rows) {
  const records = rows.map((row) => Object.fromEntries(columns.map((column, i) => [column.key, row[i]])));
  return JSON.stringify(records, null, 1) + "\n";
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// Buttons that save what `rows()` returns under a name.
function downloadButtons(name, columns, rows) {
  const file = (suffix) => `mapcount-${name}.${suffix}`;
  const button = (label, act) => make("button", { type: "button", "aria-label": `${label} of ${name}`, onclick: act }, label);
  return [
    button("CSV", () => save(file("csv"), "text/csv", csvOf(columns, rows()))),
    button("JSON", () => save(file("json"), "application/json", jsonOf(columns, rows()))),
  ];
}
