"use strict";

const place = document.getElementById("redoc");
Redoc.init("/openapi.json", { nonce: place.dataset.nonce, hideDownloadButton: false, nativeScrollbars: true }, place);
