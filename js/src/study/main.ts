// The module that anywidget loads for a study (isi_widget/widget/study_view.py).
import { study } from "./widget";

export default () => study();
