"""Whether what was loaded, modelled and selected may go on.

Belongs here: the checks of every gate (``suites.py``), their judging and its record (``gate.py``), and the pages that
show it (``data_docs.py``).
Does not belong here: what happens when a gate stops; the orchestration decides that.
"""
