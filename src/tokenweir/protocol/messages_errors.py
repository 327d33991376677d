"""Types of error in Anthropic Messages: of statuses, and of what other dialects call theirs.

Source: Anthropic's API reference, "Errors".
"""

_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
#: Anthropic's own, and the words of other dialects for the same.
ERROR_TYPES = {kind: kind for kind in _OF_STATUS.values()} | {
    "api_error": "api_error",
    "server_error": "api_error",
    "internal_server_error": "api_error",
    "insufficient_quota": "billing_error",
    "invalid_api_key": "authentication_error",
    "model_not_found": "not_found_error",
    "rate_limit_exceeded": "rate_limit_error",
    "context_length_exceeded": "invalid_request_error",
    "overloaded": "overloaded_error",
    "engine_overloaded_error": "overloaded_error",  # Kimi
    "exceeded_current_quota_error": "billing_error",  # Kimi
}


def error_type(status: int) -> str:
    """The type that stands for a status of HTTP."""
    return _OF_STATUS.get(status, "invalid_request_error" if status < 500 else "api_error")
