"""Clients for Python, one scene a run: `python_clients.py CLIENT SCENE`, with url, key and model on standard input.

Writes what its user would see: the text of the answer, or the exception. Each client is imported where it is used, for each has an
environment of its own.
"""

import asyncio
import json
import sys
from typing import Any, Callable, Dict, List

PLAN: Dict[str, str] = json.load(sys.stdin)
URL, KEY, MODEL = PLAN["url"], PLAN["key"], PLAN["model"]
V1 = f"{URL}/v1"
TASK = "Do the task with your tool."
COMMAND = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
MOST_TURNS = 10


def run(command: str) -> str:
    """Runs a command."""
    return f"done: {command}"


def say(content: str) -> List[Any]:
    return [{"role": "user", "content": content}]


def openai_client() -> Any:
    import openai

    return openai.OpenAI(base_url=V1, api_key=KEY)


def openai_plain() -> str:
    return openai_client().chat.completions.create(model=MODEL, messages=say("Hello")).choices[0].message.content


def openai_stream() -> str:
    chunks = openai_client().chat.completions.create(model=MODEL, messages=say("Hello"), stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def openai_tools() -> str:
    client, messages = openai_client(), say(TASK)
    tools: Any = [{"type": "function", "function": {"name": "run", "parameters": COMMAND}}]
    for _ in range(MOST_TURNS):
        message = client.chat.completions.create(model=MODEL, messages=messages, tools=tools).choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message)
        for call in message.tool_calls:
            result = run(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return "no end"


def openai_responses() -> str:
    client, items = openai_client(), say(TASK)
    tools: Any = [{"type": "function", "name": "run", "parameters": COMMAND, "strict": False}]
    for _ in range(MOST_TURNS):
        with client.responses.stream(model=MODEL, input=items, tools=tools, store=False) as stream:
            response = stream.get_final_response()
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            return response.output_text
        items += response.output
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": "done"} for call in calls]
    return "no end"


def openai_embeddings() -> str:
    vectors = openai_client().embeddings.create(model=MODEL, input=["Hello"])
    return json.dumps(vectors.data[0].embedding)


def openai_completions() -> str:
    return openai_client().completions.create(model=MODEL, prompt="Hello").choices[0].text


def anthropic_client() -> Any:
    import anthropic

    return anthropic.Anthropic(base_url=URL, api_key=KEY)


def anthropic_plain() -> str:
    return anthropic_client().messages.create(model=MODEL, max_tokens=500, messages=say("Hello")).content[0].text


def anthropic_stream() -> str:
    with anthropic_client().messages.stream(model=MODEL, max_tokens=500, messages=say("Hello")) as stream:
        return "".join(stream.text_stream)


def anthropic_tools() -> str:
    client, messages = anthropic_client(), say(TASK)
    tools: Any = [{"name": "run", "description": "Runs a command", "input_schema": COMMAND}]
    client.messages.count_tokens(model=MODEL, messages=messages, tools=tools)
    for _ in range(MOST_TURNS):
        message = client.messages.create(model=MODEL, max_tokens=500, messages=messages, tools=tools)
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            return message.content[0].text
        messages.append({"role": "assistant", "content": message.content})
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": run(**call.input)} for call in calls]
        messages.append({"role": "user", "content": results})
    return "no end"


def litellm_call(**more: Any) -> Any:
    import litellm

    litellm.suppress_debug_info = True
    return litellm.completion(model=f"litellm_proxy/{MODEL}", api_base=URL, api_key=KEY, **more)


def litellm_plain() -> str:
    return litellm_call(messages=say("Hello")).choices[0].message.content


def litellm_stream() -> str:
    chunks = litellm_call(messages=say("Hello"), stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def litellm_tools() -> str:
    messages = say(TASK)
    tools = [{"type": "function", "function": {"name": "run", "parameters": COMMAND}}]
    for _ in range(MOST_TURNS):
        message = litellm_call(messages=messages, tools=tools).choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump())
        for call in message.tool_calls:
            result = run(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return "no end"


def langchain_model(**more: Any) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=MODEL, base_url=V1, api_key=KEY, **more)


def langchain_text(message: Any) -> str:
    return message.text if isinstance(message.text, str) else message.text()


def langchain_plain() -> str:
    return langchain_text(langchain_model().invoke("Hello"))


def langchain_stream() -> str:
    return "".join(langchain_text(chunk) for chunk in langchain_model().stream("Hello"))


def langchain_loop(model: Any) -> str:
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool

    command = tool(run)
    bound, messages = model.bind_tools([command]), [HumanMessage(TASK)]
    for _ in range(MOST_TURNS):
        message = bound.invoke(messages)
        messages.append(message)
        if not message.tool_calls:
            return langchain_text(message)
        messages += [command.invoke(call) for call in message.tool_calls]
    return "no end"


def langchain_tools() -> str:
    return langchain_loop(langchain_model())


def langchain_responses() -> str:
    return langchain_loop(langchain_model(use_responses_api=True))


def llamaindex_model(**more: Any) -> Any:
    from llama_index.llms.openai_like import OpenAILike

    return OpenAILike(model=MODEL, api_base=V1, api_key=KEY, max_retries=1, **more)


def llamaindex_plain() -> str:
    return str(llamaindex_model().complete("Hello"))


def llamaindex_stream() -> str:
    return "".join(part.delta or "" for part in llamaindex_model(is_chat_model=True).stream_complete("Hello"))


def llamaindex_tools() -> str:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.tools import FunctionTool

    model = llamaindex_model(is_chat_model=True, is_function_calling_model=True)
    messages = [ChatMessage(role="user", content=TASK)]
    for _ in range(MOST_TURNS):
        answer = model.chat_with_tools([FunctionTool.from_defaults(fn=run)], chat_history=messages)
        calls = model.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        messages.append(answer.message)
        if not calls:
            return str(answer.message.content)
        for call in calls:
            extra = {"tool_call_id": call.tool_id}
            messages.append(ChatMessage(role="tool", content=run(**call.tool_kwargs), additional_kwargs=extra))
    return "no end"


def pydantic_agent(kind: str = "chat") -> Any:
    from pydantic_ai import Agent

    if kind == "anthropic":
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return Agent(AnthropicModel(MODEL, provider=AnthropicProvider(base_url=URL, api_key=KEY)))
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=V1, api_key=KEY)
    return Agent((OpenAIChatModel if kind == "chat" else OpenAIResponsesModel)(MODEL, provider=provider))


def pydantic_plain() -> str:
    return pydantic_agent().run_sync("Hello").output


def pydantic_stream() -> str:
    async def streamed() -> str:
        async with pydantic_agent().run_stream("Hello") as result:
            return await result.get_output()

    return asyncio.run(streamed())


def pydantic_loop(kind: str) -> str:
    agent = pydantic_agent(kind)
    agent.tool_plain(run)
    return agent.run_sync(TASK).output


def google_client() -> Any:
    from google import genai

    return genai.Client(api_key=KEY, http_options={"base_url": URL})


def google_plain() -> str:
    return google_client().models.generate_content(model=MODEL, contents="Hello").text


def google_stream() -> str:
    return "".join(part.text for part in google_client().models.generate_content_stream(model=MODEL, contents="Hello"))


def google_tools() -> str:
    from google.genai import types

    config = types.GenerateContentConfig(tools=[run])
    return google_client().models.generate_content(model=MODEL, contents=TASK, config=config).text


SCENES: Dict[str, Dict[str, Callable[[], str]]] = {
    "openai": {
        "plain": openai_plain,
        "stream": openai_stream,
        "tools": openai_tools,
        "responses": openai_responses,
        "embeddings": openai_embeddings,
        "completions": openai_completions,
    },
    "anthropic": {"plain": anthropic_plain, "stream": anthropic_stream, "tools": anthropic_tools},
    "litellm": {"plain": litellm_plain, "stream": litellm_stream, "tools": litellm_tools},
    "langchain": {
        "plain": langchain_plain,
        "stream": langchain_stream,
        "tools": langchain_tools,
        "responses": langchain_responses,
    },
    "llamaindex": {"plain": llamaindex_plain, "stream": llamaindex_stream, "tools": llamaindex_tools},
    "pydantic": {
        "plain": pydantic_plain,
        "stream": pydantic_stream,
        "tools": lambda: pydantic_loop("chat"),
        "responses": lambda: pydantic_loop("responses"),
        "messages": lambda: pydantic_loop("anthropic"),
    },
    "google": {"plain": google_plain, "stream": google_stream, "tools": google_tools},
}

if __name__ == "__main__":
    try:
        print(SCENES[sys.argv[1]][sys.argv[2]]())
    except Exception as error:  # Whatever a client raises is what its user reads.
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)
