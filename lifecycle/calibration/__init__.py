"""Thresholds proposed from a company's own data, for a person to look at and to write into ``lifecycle.yml``."""
