"use strict";
// What every page does besides being read: it works without any of this, but for the live numbers.

const YEAR_S = 365 * 24 * 3600;
document.documentElement.classList.add("scripted");

// The zone of who looks, told once; whoever chose another keeps it.
if (!document.cookie.includes("weir_zone=")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `weir_zone=${encodeURIComponent(zone)}; Path=/console; Max-Age=${YEAR_S}; SameSite=Lax${secure}`;
    const shown = document.body.dataset.zone;
    if (shown && shown !== zone && document.cookie.includes("weir_zone=")) location.reload();
  }
}

const menu = document.querySelector(".menu-button");
if (menu) {
  menu.hidden = false;
  menu.addEventListener("click", () => {
    const open = document.getElementById("navigation").classList.toggle("open");
    menu.setAttribute("aria-expanded", String(open));
  });
}

for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

const showCopy = (within) => within.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
showCopy(document);
document.addEventListener("weir:fresh", (event) => showCopy(event.target));
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Without TLS a browser gives no clipboard: select it, so that one key copies it.
    getSelection().selectAllChildren(code);
    return;
  }
  button.textContent = document.body.dataset.copied;
  setTimeout(() => { button.textContent = before; }, 1500);
});

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}

// Live: one stream while the page is looked at, none while it is hidden. A region is read anew once the ledger has grown.
const now = document.querySelector("[data-now]");
if (now && "EventSource" in window) {
  let stream = null;
  let seq = null;
  let reading = false;
  let again = 0;

  const readRegions = async () => {
    const regions = document.querySelectorAll("[data-live]");
    if (!regions.length || reading || document.hidden) return;
    const active = document.activeElement;
    if (active && active.closest("[data-live]") && !active.matches("[data-copy]")) return; // somebody is in it
    reading = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const region of regions) {
        const fresh = page.getElementById(region.id);
        if (!fresh) return location.reload(); // it has become another page
        if (fresh && fresh.innerHTML !== region.innerHTML && !region.querySelector("details[open]")) {
          region.replaceChildren(...fresh.childNodes);
          region.toggleAttribute("data-live-again", fresh.hasAttribute("data-live-again"));
          region.dispatchEvent(new CustomEvent("weir:fresh", { bubbles: true }));
        }
      }
    } catch {
      // The gateway is being started again; the next event asks once more.
    } finally {
      reading = false;
    }
  };

  const open = () => {
    if (stream || document.hidden) return;
    stream = new EventSource("/console/events");
    stream.addEventListener("now", (event) => {
      const told = JSON.parse(event.data);
      now.hidden = false;
      now.querySelector("[data-now-calls]").textContent = told.in_flight.toLocaleString("en");
      now.querySelector("[data-now-tokens]").textContent = told.tokens_per_s.toLocaleString("en");
      now.querySelector(".dot").classList.toggle("busy", told.in_flight > 0);
      document.dispatchEvent(new CustomEvent("weir:now", { detail: told }));
      // What ends without an entry (a breaker that closes) is asked for again as well, while it lasts.
      const grown = told.seq !== seq || document.querySelector("[data-live-again]");
      if (seq !== null && grown && Date.now() - again > 2000) {
        again = Date.now();
        seq = told.seq;
        readRegions();
      } else if (seq === null) {
        seq = told.seq;
      }
    });
  };
  const close = () => {
    if (stream) stream.close();
    stream = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
