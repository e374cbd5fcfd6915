"""Measurements of this machine: `make bench`. They are to be read as ratios of one run, not as capacity."""
