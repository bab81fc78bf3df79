"""What is on the page, as Python that does the same: the probe's "copy as Python".

Not for a trial that has been run (`Trial.code`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.stimulus import Stimulus
from isi_widget.widget.editor import Editor
from isi_widget.widget.protocol import SETTINGS


def probe_code(
    stimulus: Stimulus, model: Mapping[str, Any], settings: Mapping[str, Any], editor: Editor, embedded: bool
) -> str:
    """Python source: model, observation, stimulus, run."""
    arguments = [] if embedded else [repr(model["name"])]
    if model.get("quantization"):
        arguments.append(f"quantization={model['quantization']!r}")
    changed = [f"{name}={value!r}" for name, value in settings.items() if value != SETTINGS[name]]
    lines = [
        "import isi_widget as isi",
        "",
        f"vlm = isi.load_vlm({', '.join(arguments)})",
        f"obs = {editor.expression()}",
        stimulus.code("s"),
        f"trial = isi.run_trial({', '.join(['vlm', 's', *changed])})",
        "trial",
    ]
    return "\n".join(lines) + "\n"
