"""LiteLLM's bridges: one request a line on standard input, `{"kind", "body"}`; what its caller gets, a line each on standard output."""
import json
import sys

import litellm

litellm.suppress_debug_info = True
litellm.num_retries = 0
# Of providers that speak chat completions only: by which of them a dialect is bridged.
MODELS = {"responses": "deepseek/scripted", "messages": "hosted_vllm/scripted"}


async def ask(kind, body, base):
    call = litellm.aresponses if kind == "responses" else litellm.anthropic_messages
    body = {**body, "model": MODELS[kind], "api_base": base, "api_key": "sk-scripted"}
    try:
        answer = await call(**body)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)[:500]}
    dumped = answer.model_dump(exclude_none=True) if hasattr(answer, "model_dump") else dict(answer)
    return {"answer": dumped}


async def main():
    base = sys.argv[1]
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(await ask(request["kind"], request["body"], base), default=str), flush=True)


if __name__ == "__main__":
    import asyncio

    asyncio.run(main())
