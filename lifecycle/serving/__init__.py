"""What people and BI tools read.

Belongs here: publications and what is shown from them.
Does not belong here: building tables; everything here reads what a run has built and its gates have passed.
"""
