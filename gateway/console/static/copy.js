// Buttons that copy the text of an element, as it was before it was put on lines of its own.
"use strict";

function reveal(part) {
  if (!navigator.clipboard) return;
  for (const button of part.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
  }
}

reveal(document);
document.addEventListener("htmx:afterSwap", (swapped) => reveal(swapped.target));
document.addEventListener("click", async (clicked) => {
  const button = clicked.target.closest("[data-copy]");
  const source = button && document.getElementById(button.dataset.copy);
  if (!source) return;
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it and copy";
  }
  setTimeout(() => { button.textContent = label; }, 2000);
});
