"""Values that every room shares: ids, money, usage, clock, errors. No I/O."""
