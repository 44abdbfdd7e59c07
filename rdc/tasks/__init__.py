"""Tasks behind a codec: task networks, labelled photographs, metrics."""
