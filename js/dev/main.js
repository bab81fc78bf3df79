// Shows the bundle in the state that the address asks for.
import widget from "/isi_widget/static/widget.js";
import { FakeModel } from "/js/dev/fake.js";

const wish = new URLSearchParams(location.search);
const cell = document.getElementById("cell");
if (wish.get("theme") === "dark") document.body.dataset.jpThemeLight = "false";
if (wish.has("width")) cell.style.width = `${wish.get("width")}px`;

const model = new FakeModel();
await model.start(wish.get("state") ?? "run");
const definition = widget();
const alive = new window.AbortController().signal;
definition.initialize({ model, signal: alive });
definition.render({ model, el: cell, signal: alive });
if (wish.has("second")) definition.render({ model, el: document.getElementById("second"), signal: alive });
window.model = model;
