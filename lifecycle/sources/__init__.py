"""From files and systems to ``raw``: the input contract, its readers and the intake."""
