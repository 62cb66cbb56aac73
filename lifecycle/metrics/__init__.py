"""The semantic layer: metrics by name, asked of a publication.

Belongs here: reading the definitions (``definitions.py``), turning a question into SQL (``query.py``), the scorecard
(``scorecard.py``) and how figures are written (``rendering.py``).
Does not belong here: what a metric means (``models/marts/metrics/_semantic_*.yml``).
"""
