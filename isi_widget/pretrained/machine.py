"""Free memory of a GPU or of this machine, containers included.

Not for the needs of a model (see `isi_widget.vlm.loading.memory`).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import torch


def free_memory(device: torch.device | str) -> int | None:
    """Return the bytes that can be allocated on a device now; None if the system does not report it.

    CUDA: the driver's figure plus memory that torch holds unused. Apple's MPS: the recommended maximum minus
    allocated memory. CPU: available memory, or the rest of the tightest control group (container).
    """
    place = torch.device(device)
    if place.type == "cuda":
        unused = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
        return int(torch.cuda.mem_get_info(place)[0] + unused)
    if place.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    if place.type != "cpu":
        return None
    known = [count for count in (_available(), *_group_limits()) if count is not None]
    return max(0, min(known)) if known else None


def _available(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Linux's own figure; elsewhere psutil's, which Jupyter brings along."""
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        psutil = import_module("psutil")
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _group_limits(
    own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Iterator[int | None]:
    """Return the free bytes of each limited control group of this process (both versions of cgroups)."""
    lines = own.read_text().splitlines() if own.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = top / path.lstrip("/")
        # A container sees its own group at the top, independent of its path on the host.
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            yield _left(folder, *names)


def _left(folder: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    try:
        most = (folder / limit).read_text().strip()
        used = int((folder / usage).read_text())
        statistics = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    # "max", or a number near 2^63, means no limit.
    if not most.isdigit() or int(most) >= 2**60:
        return None
    # Pages of files that were read can be dropped at any time.
    cached = [int(line.split()[1]) for line in statistics if line.split()[0] == reclaimable]
    return int(most) - used + sum(cached)
