"""Measurements, not tests: `make bench` prints a table of ratios against references measured in the same run."""
