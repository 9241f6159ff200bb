"""Tests of the first contact: a faithful exchange has no deviation, and each deliberate one is found and named."""
