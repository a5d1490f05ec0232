"use strict";

// Shows which parts work, now and every few seconds.
async function showParts() {
  let checks = {};
  try {
    checks = (await (await fetch("/readyz", { cache: "no-store" })).json()).checks || {};
  } catch {
    // the server itself is away: every part shows as not known
  }
  for (const item of document.querySelectorAll("#parts li")) {
    const check = checks[item.dataset.part];
    item.classList.toggle("is-ready", Boolean(check && check.ready));
    item.classList.toggle("is-missing", Boolean(check && !check.ready));
    item.querySelector("small").textContent = check ? (check.ready ? "works" : "not ready") : "not known";
    item.title = check ? check.detail : "";
  }
}

document.getElementById("origin").textContent = location.origin;
showParts();
setInterval(showParts, 5000);
