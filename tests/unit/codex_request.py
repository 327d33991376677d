"""A request as Codex sends it."""

#: What Codex sends on the second turn of a task (openai/codex, `codex-rs/codex-api/src/common.rs`).
CODEX = {
    "model": "kimi-k2",
    "instructions": "You are Codex.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix the test."}]},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Look first"}],
            "content": None,
            "encrypted_content": "gAAAA",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look at it."}],
        },
        {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "shell:0"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin", "call_id": "c2", "status": "completed"},
        {"type": "function_call", "namespace": "mcp__repl", "name": "js", "arguments": "{}", "call_id": "c3"},
        {"type": "function_call_output", "call_id": "shell:0", "output": "a.py"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "Done"},
        {
            "type": "function_call_output",
            "call_id": "c3",
            "output": [
                {"type": "input_text", "text": "2"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"},
            ],
        },
    ],
    "tools": [
        {"type": "function", "name": "shell", "description": "Runs", "strict": False, "parameters": {"type": "object"}},
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
        },
        {"type": "local_shell"},
        {"type": "web_search", "external_web_access": False},
        {
            "type": "namespace",
            "name": "mcp__repl",
            "description": "",
            "tools": [{"type": "function", "name": "js", "parameters": {"type": "object"}, "defer_loading": False}],
        },
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199-thread",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "1"},
}  # fmt: skip
