"""When and in what order: the Dagster side of the project. What is done lives in ``lifecycle/`` and in SQL."""
