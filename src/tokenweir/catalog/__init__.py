"""Providers, models and dated prices: data files and look-ups."""
