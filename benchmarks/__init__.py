"""What the hot path costs, measured against what it replaces, on this machine: ``python -m benchmarks``."""
