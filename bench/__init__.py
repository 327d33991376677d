"""Measurements of the gateway beside its peers, in one run. `./dev bench --help`; the method is in README.md."""
