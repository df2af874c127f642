// Fetches the page again and puts its #live part in place: the search box keeps its text, the reader the place.
"use strict";
const seconds = Number(document.body.dataset.refreshSeconds);
const pause = document.createElement("button");
let paused = false;

function show() {
  pause.textContent = paused ? "Resume" : "Pause";
  pause.title = paused ? "Update this page by itself again" : "Stop updating this page by itself";
}

async function refresh() {
  const live = document.getElementById("live");
  const reading = live.contains(document.activeElement) || live.querySelector("details[open]");
  if (paused || reading || document.hidden || String(window.getSelection())) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    live.replaceWith(page.getElementById("live"));
    document.title = page.title;
    document.body.classList.remove("lost");
  } catch {
    document.body.classList.add("lost");
  }
}

pause.type = "button";
pause.className = "pause";
pause.addEventListener("click", () => { paused = !paused; show(); });
show();
document.querySelector("header").append(pause);
setInterval(refresh, seconds * 1000);
