"""Assets in Python, one module per border of the flow; each is a sentence: read, call, write, report."""
