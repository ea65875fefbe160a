"""Decides what every host will be: pure functions from settings and facts to a plan."""
