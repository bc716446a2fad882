// The pages of a folio as a strip: filled where one process maps them, high where by a PMD, low where by PTEs.

const STRIP_HEIGHT = 14;
const STRIP_WIDTH = 512;

function strip(pages, runs) {
  const words = runs.length > 8 ? plural(runs.length, "stretch", "stretches") : runs.map((run) => `${run.level} ${run.first}:${run.end}`).join(", ");
  const canvas = make("canvas", { class: "strip", role: "img", "aria-label": `Pages mapped: ${words}`, width: STRIP_WIDTH, height: STRIP_HEIGHT });
  const pen = canvas.getContext("2d");
  pen.fillStyle = tone("line");
  pen.fillRect(0, STRIP_HEIGHT - 3, STRIP_WIDTH, 3);
  for (const run of runs) {
    const high = run.level !== "PTE";
    const [left, right] = [run.first / pages * STRIP_WIDTH, run.end / pages * STRIP_WIDTH];
    pen.fillStyle = tone(high ? "whole-shared" : "plain");
    pen.fillRect(left, high ? 0 : 4, Math.max(1, right - left - (pages <= 64 ? 1 : 0)), STRIP_HEIGHT - (high ? 0 : 4));
  }
  return canvas;
}
