"""A demo company: people, what they did, and the files that a company's systems would have kept of it.

Belongs here: the generator of ``lifecycle generate``; ``company.py`` puts the parts together.
Does not belong here: reading or judging what it made; the rest of the package sees the files alone.
"""
