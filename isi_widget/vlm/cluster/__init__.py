"""Models on a Ray cluster: `load_vlm(..., on="ray://host:port")`. See docs/cluster.md.

The model is held by an actor (`actor.py`); a `ClusterVLM` in this process has the methods of a VLM and sends
them there (`link.py`) as plain records (`wire.py`). No Ray is imported before the first connection.
"""

from isi_widget.vlm.cluster.connecting import (
    ConnectionLost,
    RayCluster,
    Session,
    checked_cluster,
)
from isi_widget.vlm.cluster.model import ClusterPrefill, ClusterVLM, load_on

__all__ = [
    "ClusterPrefill",
    "ClusterVLM",
    "ConnectionLost",
    "RayCluster",
    "Session",
    "checked_cluster",
    "load_on",
]
