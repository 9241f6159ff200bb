"""The same tape, orders and strategy in hftbacktest: see docs/crosscheck.md. ``make crosscheck`` prints the tables."""
