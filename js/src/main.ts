// The module that anywidget loads. It brings its own Preact, store and results; the editor is fetched once it is shown.
import { core } from "isi:core";
import { fetcher } from "./fetch";
import { widget } from "./widget";

export default () => widget(fetcher(core));
