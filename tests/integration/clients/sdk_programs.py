"""What users write with each SDK, as small programs: `python sdk_programs.py NAME` prints what came back as JSON.

They run in the environment that `./dev test --clients` installs, against the gateway that the environment variables
BASE_URL (without a path), KEY and MODEL name.
"""

import asyncio
import json
import os
import sys

BASE, KEY, MODEL = os.environ["BASE_URL"], os.environ["KEY"], os.environ["MODEL"]
SAY = "Say something."
TOOL = {
    "name": "run_once",
    "description": "Runs a command.",
    "schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
VERDICT = {
    "type": "object",
    "properties": {"verdict": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["verdict", "score"],
    "additionalProperties": False,
}


def openai_chat() -> dict[str, object]:
    """`openai`: Chat Completions, plain, streamed, with a tool and its result, and structured output."""
    from openai import OpenAI
    from pydantic import BaseModel

    class Verdict(BaseModel):
        verdict: str
        score: int

    client = OpenAI(base_url=f"{BASE}/v1", api_key=KEY)
    talk: list = [{"role": "user", "content": SAY}]
    plain = client.chat.completions.create(model=MODEL, messages=talk)
    streamed = list(
        client.chat.completions.create(
            model=MODEL, messages=talk, stream=True, stream_options={"include_usage": True}
        )
    )
    function = {"name": TOOL["name"], "description": TOOL["description"], "parameters": TOOL["schema"]}
    tools: list = [{"type": "function", "function": function}]
    called = client.chat.completions.create(model=MODEL, messages=talk, tools=tools).choices[0].message
    call = called.tool_calls[0]
    after = client.chat.completions.create(
        model=MODEL,
        tools=tools,
        messages=[
            *talk,
            called.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "x"},
        ],
    )
    parsed = client.chat.completions.parse(model=MODEL, messages=talk, response_format=Verdict)
    return {
        "plain": plain.choices[0].message.content,
        "streamed": "".join(c.choices[0].delta.content or "" for c in streamed if c.choices),
        "usage": [plain.usage.prompt_tokens, streamed[-1].usage.prompt_tokens],
        "call": [call.id, json.loads(call.function.arguments)],
        "after": after.choices[0].message.content,
        "parsed": parsed.choices[0].message.parsed.model_dump(),
    }


def openai_responses() -> dict[str, object]:
    """`openai`: Responses, plain, streamed, with a tool and its result, and structured output."""
    from openai import OpenAI
    from pydantic import BaseModel

    class Verdict(BaseModel):
        verdict: str
        score: int

    client = OpenAI(base_url=f"{BASE}/v1", api_key=KEY)
    plain = client.responses.create(model=MODEL, input=SAY, store=False)
    with client.responses.stream(model=MODEL, input=SAY, store=False) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        streamed = stream.get_final_response()
    function = {"name": TOOL["name"], "description": TOOL["description"], "parameters": TOOL["schema"]}
    tools: list = [{"type": "function", "strict": False, **function}]
    talk: list = [{"role": "user", "content": SAY}]
    called = client.responses.create(model=MODEL, input=talk, tools=tools, store=False)
    call = next(item for item in called.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "x"}
    talk += [item.model_dump(exclude_none=True) for item in called.output] + [result]
    after = client.responses.create(model=MODEL, input=talk, tools=tools, store=False)
    parsed = client.responses.parse(model=MODEL, input=SAY, text_format=Verdict, store=False)
    return {
        "plain": plain.output_text,
        "streamed": "".join(pieces),
        "usage": [plain.usage.input_tokens, streamed.usage.input_tokens],
        "call": [call.call_id, json.loads(call.arguments)],
        "after": after.output_text,
        "parsed": parsed.output_parsed.model_dump(),
    }


def anthropic_messages() -> dict[str, object]:
    """`anthropic`: Messages, plain, streamed, with thinking, with a tool and its result, and counting of tokens."""
    import anthropic

    client = anthropic.Anthropic(base_url=BASE, api_key=KEY)
    talk: list = [{"role": "user", "content": SAY}]
    plain = client.messages.create(model=MODEL, messages=talk, max_tokens=500)
    with client.messages.stream(model=MODEL, messages=talk, max_tokens=500) as stream:
        streamed = "".join(stream.text_stream)
        final = stream.get_final_message()
    tools: list = [{"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["schema"]}]
    thinking: dict = {"type": "enabled", "budget_tokens": 1024}
    called = client.messages.create(
        model=MODEL, messages=talk, tools=tools, max_tokens=4000, thinking=thinking
    )
    call = next(block for block in called.content if block.type == "tool_use")
    talk += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in called.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "x"}]},
    ]
    after = client.messages.create(model=MODEL, messages=talk, tools=tools, max_tokens=4000)
    counted = client.messages.count_tokens(model=MODEL, messages=talk, tools=tools)
    return {
        "plain": plain.content[-1].text,
        "streamed": streamed,
        "usage": [
            plain.usage.input_tokens + plain.usage.cache_read_input_tokens,
            final.usage.input_tokens + final.usage.cache_read_input_tokens,
        ],
        "thinking": next(block.thinking for block in called.content if block.type == "thinking"),
        "call": [call.id, call.input],
        "after": after.content[-1].text,
        "counted": counted.input_tokens > 0,
    }


def langchain_openai() -> dict[str, object]:
    """`langchain-openai`: plain, streamed, and with a tool."""
    from langchain_openai import ChatOpenAI

    return _langchain(ChatOpenAI(model=MODEL, base_url=f"{BASE}/v1", api_key=KEY, stream_usage=True))


def langchain_anthropic() -> dict[str, object]:
    """`langchain-anthropic`: plain, streamed, and with a tool."""
    from langchain_anthropic import ChatAnthropic

    return _langchain(ChatAnthropic(model_name=MODEL, base_url=BASE, api_key=KEY, max_tokens=500))


def _langchain(model: object) -> dict[str, object]:
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import tool

    @tool
    def run_once(command: str) -> str:
        """Runs a command."""
        return "x"

    plain = model.invoke(SAY)
    chunks = list(model.stream(SAY))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    bound = model.bind_tools([run_once])
    called = bound.invoke(SAY)
    call = called.tool_calls[0]
    after = bound.invoke([("user", SAY), called, ToolMessage("x", tool_call_id=call["id"])])
    return {
        "plain": plain.text if isinstance(plain.text, str) else plain.text(),
        "streamed": "".join(c.text if isinstance(c.text, str) else c.text() for c in chunks),
        "usage": [plain.usage_metadata["input_tokens"], whole.usage_metadata["input_tokens"]],
        "call": [call["id"], call["args"]],
        "after": after.text if isinstance(after.text, str) else after.text(),
    }


def litellm() -> dict[str, object]:
    """`litellm` as a client: plain, streamed, and with a tool."""
    import litellm as sdk

    options: dict = {"model": f"openai/{MODEL}", "api_base": f"{BASE}/v1", "api_key": KEY}
    talk: list = [{"role": "user", "content": SAY}]
    plain = sdk.completion(messages=talk, **options)
    streamed = list(
        sdk.completion(messages=talk, stream=True, stream_options={"include_usage": True}, **options)
    )
    function = {"name": TOOL["name"], "description": TOOL["description"], "parameters": TOOL["schema"]}
    called = sdk.completion(messages=talk, tools=[{"type": "function", "function": function}], **options)
    call = called.choices[0].message.tool_calls[0]
    return {
        "plain": plain.choices[0].message.content,
        "streamed": "".join(c.choices[0].delta.content or "" for c in streamed if c.choices),
        "usage": [plain.usage.prompt_tokens, streamed[-1].usage.prompt_tokens],
        "call": [call.id, json.loads(call.function.arguments)],
    }


def pydantic_ai() -> dict[str, object]:
    """`pydantic-ai`: an agent that calls a tool and ends, over Chat Completions and over Messages."""
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    ran: list[str] = []
    answers = []
    chat = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{BASE}/v1", api_key=KEY))
    messages = AnthropicModel(MODEL, provider=AnthropicProvider(base_url=BASE, api_key=KEY))
    for model in (chat, messages):
        agent = Agent(model)

        @agent.tool_plain
        def run_once(command: str) -> str:
            """Runs a command."""
            ran.append(command)
            return "x"

        answers.append(agent.run_sync(SAY).output)
    return {"ran": len(ran), "answers": answers}


def openai_agents() -> dict[str, object]:
    """`openai-agents`: an agent that calls a tool and ends, over Responses (its default) and Chat Completions."""
    from agents import (
        Agent,
        OpenAIChatCompletionsModel,
        OpenAIResponsesModel,
        Runner,
        function_tool,
        set_tracing_disabled,
    )
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    ran: list[str] = []

    @function_tool
    def run_once(command: str) -> str:
        """Runs a command."""
        ran.append(command)
        return "x"

    async def run() -> list[str]:
        answers = []
        for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
            client = AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY)
            agent = Agent(name="a", model=kind(model=MODEL, openai_client=client), tools=[run_once])
            answers.append((await Runner.run(agent, SAY)).final_output)
        return answers

    answers = asyncio.run(run())
    return {"ran": len(ran), "answers": answers}


PROGRAMS = {
    program.__name__: program
    for program in (
        openai_chat,
        openai_responses,
        anthropic_messages,
        langchain_openai,
        langchain_anthropic,
        litellm,
        pydantic_ai,
        openai_agents,
    )
}

if __name__ == "__main__":
    # This directory's own modules (`agents`) would hide the packages of that name.
    del sys.path[0]
    print(json.dumps(PROGRAMS[sys.argv[1]]()))
