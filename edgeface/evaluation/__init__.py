"""Measuring: protocols, error rates, plots, benchmarks."""
