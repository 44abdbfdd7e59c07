"""Networks in integer arithmetic, equal on every device."""
