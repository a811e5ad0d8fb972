"use strict";
// Copies text, and writes the trials as CSV.
function copyText(button) {
  const source = document.getElementById(button.dataset.copy);
  const done = () => { button.textContent = "Copied"; };
  // The clipboard is closed to pages opened from disk in some browsers: select the text instead.
  const select = () => {
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl-C";
  };
  if (navigator.clipboard) navigator.clipboard.writeText(source.textContent).then(done, select);
  else select();
}

function saveTable(button) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  const cells = (row) => [...row.cells].map((c) => quoted(c.dataset.value ?? c.textContent.trim()));
  const table = document.getElementById(button.dataset.save);
  const lines = [...table.rows].filter((row) => !row.hidden).map((row) => cells(row).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = "trials.csv";
  link.click();
}

for (const [name, action] of [["copy", copyText], ["save", saveTable]]) {
  for (const button of document.querySelectorAll(`[data-${name}]`)) {
    button.hidden = false;
    button.addEventListener("click", () => action(button));
  }
}
