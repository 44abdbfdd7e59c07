"""Grid expansion, planning, state and scheduling policy of sweeps."""
