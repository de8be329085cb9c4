// Adds dropping, sending at once and copying. Without it the page works by its form alone.
"use strict";

const root = document.documentElement;
const form = document.querySelector("form[data-check]");
root.classList.add("scripted");

function send() {
  root.classList.add("busy");
  form.querySelector("[data-status]").textContent = form.dataset.checking;
  form.submit();
}

if (form) {
  const input = form.querySelector("input[type=file]");
  input.addEventListener("change", () => input.files.length && send());
  let depth = 0;
  window.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    root.classList.add("over");
  });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) root.classList.remove("over");
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    root.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    const chosen = new DataTransfer();
    chosen.items.add(event.dataTransfer.files[0]);
    input.files = chosen.files;
    send();
  });
  window.addEventListener("pageshow", () => root.classList.remove("busy"));
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const words = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = button.dataset.copied;
    } catch {
      button.textContent = button.dataset.failed;
    }
    setTimeout(() => (button.textContent = words), 2000);
  });
}
