"""The wire: dialects, SSE, HTTP messages and the states of an exchange. Bytes in, values out; no I/O."""
