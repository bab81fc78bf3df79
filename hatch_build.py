"""Build hook: put the front-end bundle into the wheel, without Node when the bundle is already there.

The bundle in isi_widget/static is committed; `npm run check-bundle` proves that it equals a fresh build.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = tuple(
    f"isi_widget/static/{name}" for name in ("widget.js", "widget.css", "editor.js", "study.js", "study.css")
)


class BundleHook(BuildHookInterface):
    """Use the bundle that is there; else build it; else say clearly what is missing."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run by hatchling before the files are collected."""
        root = Path(self.root)
        if all((root / name).is_file() for name in BUNDLE):
            return
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(
                f"The front-end bundle ({', '.join(BUNDLE)}) is missing and npm was not found. "
                "Install Node.js 20 or newer, then run: npm ci && npm run build"
            )
        subprocess.run([npm, "ci"], cwd=root, check=True)
        subprocess.run([npm, "run", "build"], cwd=root, check=True)
