"""The console: its command, its guard, and its pages in a real browser."""
