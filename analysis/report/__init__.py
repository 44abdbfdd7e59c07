"""The report: page, figures, terminal table."""
