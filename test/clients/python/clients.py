"""OpenAI's client for Python over the five dialects, its base URL and key changed and nothing else.

Reads from standard input what run.ts serves and expects; writes one JSON line a check: which calls it made by how they end in the
books (answered, failed, cut), and the traceback where it failed. Only what clients see is checked here; the books are run.ts's.
"""

import asyncio
import json
import sys
import traceback
from typing import Any, Callable, Dict, List

import openai
from pydantic import BaseModel

PLAN: Dict[str, Any] = json.load(sys.stdin)
RAIN = "; ".join(f"rain in {city}" for city in PLAN["cities"])
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": PLAN["tool"],
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Town(BaseModel):
    city: str
    people: int


def say(content: str) -> List[Any]:
    return [{"role": "user", "content": content}]


def same(found: Any, expected: Any) -> None:
    assert found == expected, f"{found!r} is not {expected!r}"


class Dialect:
    """One of the five, and the checks that every one of them must pass."""

    def __init__(self, row: Dict[str, Any]) -> None:
        self.row = row
        self.model: str = row["model"]
        self.client = openai.OpenAI(base_url=PLAN["url"], api_key=row["key"], max_retries=0)

    def usage_is_shown(self, usage: Any) -> None:
        stated = self.row["usage"]
        same(usage.prompt_tokens, stated["prompt"])
        same(usage.completion_tokens, stated["completion"])
        same(usage.total_tokens, stated["prompt"] + stated["completion"])
        same(f"{usage.cost * 1000:.6f}", self.row["charge"])

    def create_with_raw_response(self) -> None:
        raw = self.client.chat.completions.with_raw_response.create(model=self.model, messages=say("Hello"))
        same(raw.headers["x-credits-used"], self.row["charge"])
        same(raw.headers["x-cost-provenance"], self.row["provenance"])
        completion = raw.parse()
        same(completion.choices[0].message.content, PLAN["text"])
        same(completion.choices[0].finish_reason, "stop")
        self.usage_is_shown(completion.usage)

    def create_streamed(self) -> None:
        stream = self.client.chat.completions.create(
            model=self.model, messages=say("Hello"), stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        choices = [choice for chunk in chunks for choice in chunk.choices]
        same("".join(choice.delta.content or "" for choice in choices), PLAN["text"])
        same([choice.finish_reason for choice in choices if choice.finish_reason], ["stop"])
        same([len(chunk.choices) for chunk in chunks if chunk.usage], [0])
        self.usage_is_shown(chunks[-1].usage)

    def stream_helper(self) -> None:
        text = ""
        with self.client.chat.completions.stream(
            model=self.model, messages=say("Hello"), stream_options={"include_usage": True}
        ) as stream:
            for event in stream:
                if event.type == "content.delta":
                    text += event.delta
            completion = stream.get_final_completion()
        same(text, PLAN["text"])
        same(completion.choices[0].message.content, PLAN["text"])
        self.usage_is_shown(completion.usage)

    def asynchronous(self) -> None:
        async def both() -> None:
            async with openai.AsyncOpenAI(base_url=PLAN["url"], api_key=self.row["key"], max_retries=0) as client:
                whole = await client.chat.completions.create(model=self.model, messages=say("Hello"))
                same(whole.choices[0].message.content, PLAN["text"])
                text = ""
                async for chunk in await client.chat.completions.create(
                    model=self.model, messages=say("Hello"), stream=True
                ):
                    text += chunk.choices[0].delta.content or ""
                same(text, PLAN["text"])

        asyncio.run(both())

    def tools(self) -> None:
        messages = say("Weather?")
        create = self.client.chat.completions.create
        choice = create(model=self.model, messages=messages, tools=[WEATHER]).choices[0]
        same(choice.finish_reason, "tool_calls")
        calls: Any = choice.message.tool_calls
        same([json.loads(call.function.arguments) for call in calls], [{"city": city} for city in PLAN["cities"]])
        messages.append(choice.message)
        for call in calls:
            city = json.loads(call.function.arguments)["city"]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"rain in {city}"})
        same(create(model=self.model, messages=messages, tools=[WEATHER]).choices[0].message.content, RAIN)

    def tools_streamed(self) -> None:
        with self.client.chat.completions.stream(
            model=self.model, messages=say("Weather?"), tools=[WEATHER]
        ) as stream:
            done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
            choice = stream.get_final_completion().choices[0]
        same([event.parsed_arguments for event in done], [{"city": city} for city in PLAN["cities"]])
        same(choice.finish_reason, "tool_calls")
        same([call.function.name for call in choice.message.tool_calls or []], [PLAN["tool"]] * 2)

    def parse(self) -> None:
        completion = self.client.chat.completions.parse(
            model=self.model, messages=say("A town"), response_format=Town
        )
        same(completion.choices[0].message.parsed, Town(**PLAN["town"]))

    def parse_streamed(self) -> None:
        with self.client.chat.completions.stream(
            model=self.model, messages=say("A town"), response_format=Town
        ) as stream:
            completion = stream.get_final_completion()
        same(completion.choices[0].message.parsed, Town(**PLAN["town"]))

    def fails(self, failure: str, expected: type, status: int, code: Any) -> openai.APIStatusError:
        try:
            self.client.chat.completions.create(model=self.model, messages=say(PLAN["failures"][failure]))
        except openai.APIStatusError as error:
            same(type(error), expected)
            same(error.status_code, status)
            if code is not None:
                same(error.code, code)
            for secret in PLAN["secrets"]:
                assert secret not in error.response.text, "the answer shows what is the operator's"
            return error
        raise AssertionError("the call was answered")

    def error_rate_limit(self) -> None:
        error = self.fails("rate", openai.RateLimitError, 429, "provider_rate_limited")
        assert int(error.response.headers["retry-after"]) > 0

    def error_account(self) -> None:
        self.fails("account", openai.InternalServerError, 503, "provider_account")

    def error_down(self) -> None:
        self.fails("down", openai.InternalServerError, 503, "provider_overloaded")

    def error_request(self) -> None:
        self.fails("malformed", openai.BadRequestError, 400, None)

    def error_in_stream(self) -> None:
        stream = self.client.chat.completions.create(
            model=self.model, messages=say(PLAN["failures"]["inStream"]), stream=True
        )
        text = ""
        try:
            for chunk in stream:
                text += chunk.choices[0].delta.content or ""
        except openai.APIError as error:
            same(text, PLAN["cutText"])
            same(error.code, "tool_use_failed" if self.row["provider"] == "groq" else "provider_failed")
            return
        raise AssertionError("the stream ended as if all were well")

    def error_key(self) -> None:
        try:
            self.client.with_options(api_key="uc_" + "0" * 64).chat.completions.create(
                model=self.model, messages=say("Hello")
            )
        except openai.AuthenticationError as error:
            same((error.status_code, error.code), (401, "invalid_api_key"))
            return
        raise AssertionError("the call was answered")

    def error_credits(self) -> None:
        """x-should-retry is false, so the client's own retries don't happen: run.ts counts the requests."""
        poor = self.client.with_options(api_key=PLAN["poorKey"], max_retries=2)
        try:
            poor.chat.completions.create(model=self.model, messages=say("Hello"))
        except openai.APIStatusError as error:
            same((error.status_code, error.code), (402, "insufficient_credits"))
            same(error.response.headers["x-should-retry"], "false")
            return
        raise AssertionError("the call was answered")

    def checks(self) -> List[Any]:
        one, two, failed = {"answered": 1}, {"answered": 2}, {"failed": 1}
        return [
            (self.create_with_raw_response, one),
            (self.create_streamed, one),
            (self.stream_helper, one),
            (self.asynchronous, two),
            (self.tools, two),
            (self.tools_streamed, one),
            (self.parse, one),
            (self.parse_streamed, one),
            (self.error_rate_limit, failed),
            (self.error_account, failed),
            (self.error_down, failed),
            (self.error_request, failed),
            (self.error_in_stream, {"cut": 1}),
            (self.error_key, {}),
            (self.error_credits, {}),
        ]


def run(provider: str, check: Callable[[], None], calls: Dict[str, int]) -> None:
    error = None
    try:
        check()
    except Exception:
        error = traceback.format_exc()
    line = {"provider": provider, "check": check.__name__, "calls": calls, "error": error}
    print(json.dumps(line), flush=True)


for row in PLAN["dialects"]:
    for check, calls in Dialect(row).checks():
        run(row["provider"], check, calls)
