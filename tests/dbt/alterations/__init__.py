"""What the data tests look at, and what happens to it so that they must fire: a module per family of marts.

``RECORDS`` are SQL statements that put rows into the raw tables of the shop of ``test_data_tests_fire.py``;
``ALTERATIONS`` name a kind of test → what happens to the data → how the tests are called that have to see it.
"""

from __future__ import annotations

Alterations = dict[str, list[tuple[str, str]]]
