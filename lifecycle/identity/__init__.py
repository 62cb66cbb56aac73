"""Who is the same person: from source records with identifiers to customers."""
