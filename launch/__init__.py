"""The entry points and the executors: the only Hydra, the only Ray."""
