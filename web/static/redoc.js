"use strict";

// ReDoc asks a CDN for its own logo, by attribute and by property. Nothing here asks anybody else for anything.
const ours = (source) => (new URL(source, location.href).origin === location.origin ? source : "/static/favicon.svg");
const { setAttribute } = Element.prototype;
HTMLImageElement.prototype.setAttribute = function (name, value) {
  setAttribute.call(this, name, name === "src" ? ours(value) : value);
};
Object.defineProperty(HTMLImageElement.prototype, "src", {
  get() { return this.getAttribute("src"); },
  set(value) { this.setAttribute("src", value); },
});

const place = document.getElementById("redoc");
Redoc.init("/openapi.json", { nonce: place.dataset.nonce, hideDownloadButton: false, nativeScrollbars: true }, place);
