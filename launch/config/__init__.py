"""From YAML and the command line to checked settings: the only Hydra."""
