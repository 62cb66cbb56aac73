"""What a change would change: the same data under two versions of the rules, or two publications.

- ``variant.py``: one version, built from data that is loaded already, into a folder of its own
- ``versions.py``: two of them, the working tree's and a git ref's
- ``publications.py``: two runs as they were published
- ``changes.py``: what differs, counted in SQL
- ``report.py``: the same in words and tables
"""
