"""Tokenweir: one door in front of every open model. It routes, meters, limits and shows."""

__version__ = "0.1.0"
