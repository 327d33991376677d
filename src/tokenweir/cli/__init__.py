"""The command weir, and the only place where the parts are put together."""
