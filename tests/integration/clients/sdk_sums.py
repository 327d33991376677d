"""A sum asked of the model that ships, with each SDK: `python sdk_sums.py NAME` prints what came back as JSON.

As `sdk_programs.py`, against the gateway that BASE_URL and KEY name: the answer plain and, where the SDK streams, streamed.
"""

import asyncio
import json
import os
import sys

BASE, KEY, MODEL = os.environ["BASE_URL"], os.environ["KEY"], "abacus"
SUM = "What is 37 + 58?"
TALK: list = [{"role": "user", "content": SUM}]


def openai_chat() -> list[str]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{BASE}/v1", api_key=KEY)
    plain = client.chat.completions.create(model=MODEL, messages=TALK)
    streamed = client.chat.completions.create(model=MODEL, messages=TALK, stream=True)
    pieces = [choice.delta.content or "" for chunk in streamed for choice in chunk.choices]
    return [plain.choices[0].message.content, "".join(pieces)]


def openai_responses() -> list[str]:
    from openai import OpenAI

    client = OpenAI(base_url=f"{BASE}/v1", api_key=KEY)
    plain = client.responses.create(model=MODEL, input=SUM, store=False)
    with client.responses.stream(model=MODEL, input=SUM, store=False) as stream:
        return [plain.output_text, stream.get_final_response().output_text]


def anthropic_messages() -> list[str]:
    import anthropic

    client = anthropic.Anthropic(base_url=BASE, api_key=KEY)
    plain = client.messages.create(model=MODEL, messages=TALK, max_tokens=400)
    with client.messages.stream(model=MODEL, messages=TALK, max_tokens=400) as stream:
        return [plain.content[-1].text, "".join(stream.text_stream)]


def langchain_openai() -> list[str]:
    from langchain_openai import ChatOpenAI

    return _langchain(ChatOpenAI(model=MODEL, base_url=f"{BASE}/v1", api_key=KEY))


def langchain_anthropic() -> list[str]:
    from langchain_anthropic import ChatAnthropic

    return _langchain(ChatAnthropic(model_name=MODEL, base_url=BASE, api_key=KEY, max_tokens=400))


def _langchain(model: object) -> list[str]:
    return [str(model.invoke(SUM).text), "".join(str(chunk.text) for chunk in model.stream(SUM))]


def litellm() -> list[str]:
    import litellm as sdk

    options: dict = {"model": f"openai/{MODEL}", "api_base": f"{BASE}/v1", "api_key": KEY, "messages": TALK}
    streamed = sdk.completion(stream=True, **options)
    pieces = [choice.delta.content or "" for chunk in streamed for choice in chunk.choices]
    return [sdk.completion(**options).choices[0].message.content, "".join(pieces)]


def pydantic_ai() -> list[str]:
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    chat = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{BASE}/v1", api_key=KEY))
    messages = AnthropicModel(MODEL, provider=AnthropicProvider(base_url=BASE, api_key=KEY))
    return [Agent(model).run_sync(SUM).output for model in (chat, messages)]


def openai_agents() -> list[str]:
    from agents import (
        Agent,
        OpenAIChatCompletionsModel,
        OpenAIResponsesModel,
        Runner,
        set_tracing_disabled,
    )
    from openai import AsyncOpenAI

    set_tracing_disabled(True)

    async def run() -> list[str]:
        answers = []
        for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
            client = AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY)
            agent = Agent(name="a", model=kind(model=MODEL, openai_client=client))
            answers.append((await Runner.run(agent, SUM)).final_output)
        return answers

    return asyncio.run(run())


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
