"""Write what is derived from `isi.Settings`: the table in docs/trial.md, and js/src/settings.json, which the
page's form is made of. Run it after a setting was added or changed: `python docs/make_settings.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import isi_widget as isi

HERE = Path(__file__).parent
TABLE, FORM = HERE / "trial.md", HERE.parent / "js" / "src" / "settings.json"
BEGIN, END = "<!-- settings: made by make_settings.py -->\n", "<!-- end of settings -->\n"


def table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| setting | default | values | |", "|---|---|---|---|"]
    for item in isi.Settings.schema():
        words = " ".join(
            [item["help"], *(f"`{choice['value']!r}`: {choice['help']}" for choice in item["choices"])]
        )
        rows.append(f"| `{item['name']}` | `{item['default']!r}` | {item['rule']} | {words} |")
    return "\n".join(rows) + "\n"


def form() -> str:
    """Return the settings as JSON."""
    return json.dumps(isi.Settings.schema(), indent=2, ensure_ascii=False) + "\n"


def document() -> str:
    """Return docs/trial.md with the table of today."""
    text = TABLE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    TABLE.write_text(document(), encoding="utf-8")
    FORM.write_text(form(), encoding="utf-8")
