"""Run every benchmark in a process of its own and write docs/performance.md; on a machine with a CUDA device
docs/performance-gpu.md, beside it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from benchmarks.timing import Row

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS = {
    "importing": "Import",
    "loading": "Loading",
    "trials": "Answers and trials (embedded models)",
    "sampling": "Sampling",
    "enumerating": "Enumeration of answers",
    "attention": "Attention",
    "interventions": "Interventions (embedded model)",
    "heads": "Scans of attention heads (processor time)",
    "paths": "Paths inside a model (processor time)",
    "entailment_bench": "Clustering",
    "rendering": "Rendering",
    "segmentation": "Outlines of objects (GrabCut)",
    "tables": "Tables of data",
    "studies": "Studies (processor time)",
    "studies_statistics": "Statistics of a study of 1,000,000 rows",
    "sessions": "Sessions of a probe",
    "page": "The probe in JupyterLab and Chromium",
}


def measure(module: str) -> list[Row]:
    """Return the rows of one module, from a fresh process."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    records = [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"name"')]
    return [Row(**{**record, "values": tuple(record["values"])}) for record in records]


def machine() -> str:
    """Return the kind of machine, without its name."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":")[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    gpu = gpu_name()
    used = f"GPU: {gpu}" if gpu else "no GPU used"
    return f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores ({processor}), {used}"


@cache
def gpu_name() -> str:
    """Return the name of the CUDA device; "" without one. Asked in another process: this one is to stay
    without torch.
    """
    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()


def busy() -> float | None:
    """Return the mean number of running programs in the last minute; None if the system does not
    report it.
    """
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def page(results: dict[str, list[Row]], before: float | None) -> str:
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "pillow", "numpy")
    )
    lines = [
        "# Performance",
        "",
        "Written by `make bench` (`python -m benchmarks`); do not edit. Median and range of all repeats.",
        "A ratio compares two ways that were run in turn in one process: below 1 the first is faster.",
        "",
        f"- Machine: {machine()}",
        f"- Python {platform.python_version()}, {versions}",
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
    ]
    if before is not None:
        state = "idle" if before < 1 else "busy with other programs: take the times as upper bounds"
        lines.append(f"- Load before the start: {before:.1f} ({state})")
    if hasattr(os, "nice") and os.nice(0) != 0:
        lines.append(f"- Priority: {'raised' if os.nice(0) < 0 else 'lowered'} (nice {os.nice(0)})")
    for module, rows in results.items():
        lines += [
            "",
            f"## {SUBJECTS[module]}",
            "",
            "| what | median | range | repeats | target |",
            "|---|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(row.cells())} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    wanted = sys.argv[1:] or list(SUBJECTS)
    unknown = [name for name in wanted if name not in SUBJECTS]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}; there are: {', '.join(SUBJECTS)}.")
    before = busy()
    results = {}
    for module in wanted:
        print(f"{module} ...", flush=True)
        results[module] = measure(module)
        for row in results[module]:
            print("   ", " | ".join(row.cells()), flush=True)
    if list(results) == list(SUBJECTS):
        target = ROOT / "docs" / ("performance-gpu.md" if gpu_name() else "performance.md")
        target.write_text(page(results, before), encoding="utf-8")
        print(f"written: {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
