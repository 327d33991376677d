"""Agents: their command lines started under a limit, watched, confined, and their work checked."""
