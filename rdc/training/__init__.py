"""Training: input pipeline, step, checkpoints, loop."""
