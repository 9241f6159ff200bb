# ruff: noqa: A005 - it is tests.types, and mirrors stall_then_strike.types
