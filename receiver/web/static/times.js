// Says what the page's UTC times are in the browser's own zone: as a hint over each, and beside each field.
"use strict";
const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const local = (text) => {
  const moment = new Date(/^\d{4}-/.test(text) ? text : NaN);
  return Number.isNaN(moment.getTime()) ? "" : zone.format(moment);
};

for (const time of document.querySelectorAll("time")) time.title = local(time.dateTime);
for (const field of document.querySelectorAll("input[data-time]")) {
  const hint = document.createElement("small");
  const show = () => { hint.textContent = local(field.value); };
  hint.className = "local";
  field.after(hint);
  field.addEventListener("input", show);
  show();
}
