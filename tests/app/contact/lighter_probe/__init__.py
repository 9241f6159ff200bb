"""Tests of the probe of Lighter."""
