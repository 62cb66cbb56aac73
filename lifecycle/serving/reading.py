"""Reading what is published, as the project itself does.

Belongs here: figures that gates ask of the current publication.
Does not belong here: writing one (``publication.py``).
"""

from __future__ import annotations

from lifecycle.publishing.plan import open_published
from lifecycle.serving.publication import current
from lifecycle.settings import Settings


def segment_counts(settings: Settings) -> dict[str, int]:
    """Members of each segment in the current publication; empty before the first."""
    published = current(settings.state)
    if published is None:
        return {}
    with open_published(settings, published) as warehouse:
        rows = warehouse.rows("select segment_name, count(*) from segments.segment_members group by segment_name")
    return {name: int(count) for name, count in rows}
