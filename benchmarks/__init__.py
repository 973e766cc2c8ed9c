"""Benchmarks: ratios against a peer measured in the same run. Each file is a command; `make bench` runs those that
need no data beyond the package."""
