"""What many explanations have in common: where groups of recordings differ, and clusters of strategies."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaudio.plugin import attach, hookimpl

if TYPE_CHECKING:
    from .clusters import cluster_explanations as cluster_explanations
    from .groups import group_relevance as group_relevance

# Not __dir__: what looks for hooks would load all that it names.
__getattr__, _, __all__ = attach(
    __name__, {"cluster_explanations": f"{__name__}.clusters", "group_relevance": f"{__name__}.groups"}
)


@hookimpl
def xaudio_commands() -> Mapping[str, Any]:
    """Offer `xaudio groups` and `xaudio cluster`."""
    from .commands_cluster import cluster
    from .commands_groups import groups

    return {"groups": groups, "cluster": cluster}


@hookimpl
def xaudio_reports() -> Mapping[str, Callable[[Path], Path]]:
    """Write the pages of groups and clusters again."""
    from .pages import report_clusters, report_groups

    return {"groups": report_groups, "clusters": report_clusters}
