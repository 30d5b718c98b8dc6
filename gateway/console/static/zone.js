// Tells the server the browser's time zone, in a cookie, and shows the page once more where it did not know it.
"use strict";

const note = document.querySelector("[data-zone]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (note && zone && note.dataset.zone !== zone) {
  document.cookie = `gateway-zone=${zone}; path=/; max-age=31536000; samesite=strict`;
  // Not where cookies are refused: that would never end.
  if (document.cookie.split("; ").includes(`gateway-zone=${zone}`)) location.reload();
}
