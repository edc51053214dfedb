"""Images, sound and what Gemini draws, by OpenAI's and Google's clients for Python, their base URL and key changed and nothing else.

Reads from standard input where the product is; writes one JSON line a check, with the traceback where it failed.
"""

import base64
import io
import json
import sys
import traceback
import wave
from typing import Any, Callable, Dict

import openai
from google import genai
from google.genai import types

PLAN: Dict[str, Any] = json.load(sys.stdin)
PIXEL = base64.b64decode(PLAN["pixel"])
CLIENT = openai.OpenAI(base_url=f"{PLAN['url']}/v1", api_key=PLAN["key"], max_retries=0)
GOOGLE = genai.Client(api_key=PLAN["key"], http_options={"base_url": PLAN["url"]})


def same(found: Any, expected: Any) -> None:
    assert found == expected, f"{found!r} is not {expected!r}"


def recording(seconds: int) -> io.BytesIO:
    """Silence of so many seconds."""
    sound = io.BytesIO()
    sound.name = "talk.wav"
    with wave.open(sound, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(32_000 * seconds))
    sound.seek(0)
    return sound


def images_generate(model: str) -> None:
    answer = CLIENT.images.generate(model=model, prompt="A cat", size="1024x1024")
    same([base64.b64decode(image.b64_json or "") for image in answer.data or []], [PIXEL])


def images_edit(model: str) -> None:
    answer = CLIENT.images.edit(model=model, prompt="Two cats", image=("cat.png", PIXEL, "image/png"))
    same([base64.b64decode(image.b64_json or "") for image in answer.data or []], [PIXEL])


def transcribed() -> None:
    same(CLIENT.audio.transcriptions.create(model="whisper-1", file=recording(2)).text, PLAN["text"])


def transcribed_as_text() -> None:
    text: Any = CLIENT.audio.transcriptions.create(model="whisper-1", file=recording(2), response_format="text")
    same(text, PLAN["text"])


def spoken() -> None:
    same(CLIENT.audio.speech.create(model="tts-1", voice="alloy", input="Hello").content, PIXEL)


def spoken_while_it_comes() -> None:
    speech = CLIENT.audio.speech.with_streaming_response
    with speech.create(model="tts-1", voice="alloy", input="Hello") as response:
        same(b"".join(response.iter_bytes()), PIXEL)


def judged() -> None:
    same(CLIENT.moderations.create(input="Hello").results[0].flagged, False)


def drawn_by_gemini() -> None:
    config = types.GenerateContentConfig(response_modalities=["IMAGE"])
    answer = GOOGLE.models.generate_content(model=PLAN["gemini"], contents="A cat", config=config)
    parts = answer.candidates[0].content.parts  # type: ignore[index,union-attr]
    same([part.inline_data.data for part in parts], [PIXEL])  # type: ignore[union-attr]
    same(answer.usage_metadata.candidates_token_count, 1_290)  # type: ignore[union-attr]


CHECKS: Dict[str, Callable[[], None]] = {
    "images.generate of gpt-image-1": lambda: images_generate("gpt-image-1"),
    "images.generate of Gemini": lambda: images_generate(PLAN["gemini"]),
    "images.generate at OpenRouter": lambda: images_generate("routed"),
    "images.edit of gpt-image-1": lambda: images_edit("gpt-image-1"),
    "images.edit of Gemini": lambda: images_edit(PLAN["gemini"]),
    "audio.transcriptions": transcribed,
    "audio.transcriptions as text": transcribed_as_text,
    "audio.speech": spoken,
    "audio.speech while it comes": spoken_while_it_comes,
    "moderations": judged,
    "generate_content of an image": drawn_by_gemini,
}

for name, check in CHECKS.items():
    error = None
    try:
        check()
    except Exception:
        error = traceback.format_exc()
    print(json.dumps({"check": name, "error": error}), flush=True)
