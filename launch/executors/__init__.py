"""Executors of attempts: on this machine, or on Ray."""
