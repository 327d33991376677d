"""The hot path: server, upstream pool, admission, relay, settlement."""
