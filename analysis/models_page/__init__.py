"""docs/results/reference_models: records, tables and pictures of a finished sweep."""
