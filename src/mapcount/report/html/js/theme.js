// Light and dark: as the system has it, until the button says otherwise; light on paper. Pictures are drawn anew then.

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const printing = matchMedia("print");
const themeWatchers = [];
let chosenTheme = null;
let paper = false;

function applyTheme() {
  const dark = !paper && (chosenTheme ?? (darkSystem.matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light" : "Dark";
  for (const watcher of themeWatchers) watcher();
}

function putOnPaper(is) {
  if (paper === is) return;
  paper = is;
  applyTheme();
}

function startTheme() {
  byId("theme").addEventListener("click", () => {
    chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    applyTheme();
  });
  darkSystem.addEventListener("change", applyTheme);
  addEventListener("beforeprint", () => putOnPaper(true));
  addEventListener("afterprint", () => putOnPaper(false));
  printing.addEventListener("change", () => putOnPaper(printing.matches));
  applyTheme();
}

// The value of a colour of css/tones.css, as it is now.
function tone(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
