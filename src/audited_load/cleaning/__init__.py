"""Blocks of records → the two files of a run, by a feed's rules."""
