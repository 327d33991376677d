"""The admin API: accounts, keys, limits, money and the audit over HTTP, answered by the control process."""
