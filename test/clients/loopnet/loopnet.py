"""LoopNet's own clients, as Ops-Center's documents have them: a call that is tried again, and a credit service that talks SQL.

Reads who it is from the environment variable LOOPNET (JSON) and prints a line for each check: `ok <name>` or `FAILED <name>: <why>`.
"""

import asyncio
import json
import os
import threading
import time
from decimal import Decimal

import asyncpg
import psycopg
import requests

SERVED = json.loads(os.environ["LOOPNET"])
MESSAGES = [{"role": "user", "content": "Acme Inc., a maker of anvils in Austin."}]


class Client:
    """The documented client of the internal LLM API."""

    def __init__(self, key, base=SERVED["llm"]):
        self.base = base
        self.session = requests.Session()
        self.session.headers.update({"Authorization": f"Bearer {key}"})

    def chat(self, messages, model="gpt-4o-mini"):
        body = {"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 50, "power_level": "balanced"}
        response = self.session.post(f"{self.base}/chat/completions", json=body, timeout=30)
        response.raise_for_status()
        return response.json()

    def credits(self):
        response = self.session.get(f"{self.base}/credits", timeout=30)
        response.raise_for_status()
        return response.json()


def chat_with_retry(client, messages, model="gpt-4o-mini", attempts=3, backoff=2.0, sleep=time.sleep):
    """Waits for X-RateLimit-Reset after a 429; tries a 500, a 503 and a lost connection again; raises everything else at once."""
    for attempt in range(attempts):
        try:
            return client.chat(messages, model)
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code
            if status == 429:
                reset = int(error.response.headers.get("X-RateLimit-Reset", 0))
                if reset:
                    sleep(reset - int(time.time()) + 1)
            elif status in (500, 503):
                sleep(backoff**attempt)
            else:
                raise
        except requests.exceptions.RequestException:
            if attempt == attempts - 1:
                raise
            sleep(backoff**attempt)
    raise Exception(f"Failed after {attempts} retries")


def refused(status, code, call):
    """The error, which both kinds of readers understand."""
    try:
        call()
    except requests.exceptions.HTTPError as error:
        body = error.response.json()
        assert error.response.status_code == status, f"{error.response.status_code} {body}"
        assert body["error"]["code"] == code and isinstance(body["error"]["message"], str), body
        assert isinstance(body["detail"], str), body
        return error.response
    raise AssertionError(f"no {status}")


def check_answer():
    client = Client(SERVED["key"])
    before = Decimal(str(client.credits()["credits_remaining"]))
    answer = chat_with_retry(client, MESSAGES)
    assert answer["choices"][0]["message"]["content"] == "Acme", answer
    after = Decimal(str(client.credits()["credits_remaining"]))
    cost = Decimal(str(answer["_metadata"]["cost_incurred"]))
    assert before - after == cost > 0, f"{before} - {after} is not {cost}"


def check_402():
    waited = []
    response = refused(402, "insufficient_credits", lambda: chat_with_retry(Client(SERVED["poor"]), MESSAGES, sleep=waited.append))
    assert waited == [] and response.headers["x-should-retry"] == "false"


def check_403():
    waited = []
    refused(403, "no_allocation", lambda: chat_with_retry(Client(SERVED["unallocated"]), MESSAGES, sleep=waited.append))
    assert waited == []


def check_401():
    refused(401, "invalid_api_key", lambda: chat_with_retry(Client("sk-loopnet-service-key-2025"), MESSAGES))


def check_429():
    """A second call beside one that runs is refused, waits as long as it is told, and is answered then."""
    waited = []

    def sleep(seconds):
        # The first call may end now.
        requests.post(SERVED["let_go"], timeout=30)
        first.join()
        waited.append(seconds)
        time.sleep(seconds)

    client = Client(SERVED["single"])
    first = threading.Thread(target=lambda: Client(SERVED["single"]).chat([{"role": "user", "content": "slow"}]))
    first.start()
    requests.get(SERVED["until_slow_runs"], timeout=30)
    answer = chat_with_retry(client, MESSAGES, sleep=sleep)
    assert answer["choices"][0]["message"]["content"] == "Acme", answer
    assert len(waited) == 1 and 1 <= waited[0] <= 4, waited


def check_503():
    """A provider that is down is a 503, costs nothing, and the next attempt is answered."""
    client = Client(SERVED["key"])
    before = client.credits()["credits_remaining"]
    waited = []
    refused(503, "provider_failed", lambda: client.chat([{"role": "user", "content": "down always"}]))
    assert client.credits()["credits_remaining"] == before
    answer = chat_with_retry(client, [{"role": "user", "content": "down twice"}], sleep=waited.append)
    assert answer["choices"][0]["message"]["content"] == "Acme" and waited == [1.0, 2.0], (answer, waited)


def check_gone():
    waited = []
    try:
        chat_with_retry(Client(SERVED["key"], "http://127.0.0.1:9"), MESSAGES, sleep=waited.append)
    except requests.exceptions.ConnectionError:
        assert waited == [1.0, 2.0]
        return
    raise AssertionError("nobody is there, and it was answered")


class InsufficientCredits(Exception):
    pass


class NoAllocation(Exception):
    pass


METADATA = {"operation": "company_enrichment", "company_id": "acme", "enrichment_level": "standard", "cache_hit": False}


def named(error):
    """As callers tell them apart: by the words of the message."""
    message = str(error)
    if "Insufficient credits" in message:
        return InsufficientCredits(message)
    return NoAllocation(message) if "No credit allocation" in message else error


class PsycopgService:
    def __init__(self, connection):
        self.connection = connection

    async def value(self, sql, *values):
        try:
            with self.connection.transaction():
                return self.connection.execute(sql, values).fetchone()[0]
        except psycopg.errors.RaiseException as error:
            raise named(error) from error

    def sql(self, text):
        return text.replace("{}", "%s")

    def close(self):
        self.connection.close()


class AsyncpgService:
    def __init__(self, connection):
        self.connection = connection

    async def value(self, sql, *values):
        try:
            async with self.connection.transaction():
                return await self.connection.fetchval(sql, *values)
        except asyncpg.RaiseError as error:
            raise named(error) from error

    def sql(self, text):
        parts = text.split("{}")
        return parts[0] + "".join(f"${index}{part}" for index, part in enumerate(parts[1:], 1))


HAS = "SELECT has_sufficient_credits({}, {}, {})"
DEDUCT = "SELECT deduct_credits({}, {}, {}, {}, {}, {}, {})"
LEFT = "SELECT remaining_credits FROM user_credit_allocations WHERE org_id={} AND user_id={} AND is_active=TRUE"


async def enrich(service, user, credits, work, sql=DEDUCT):
    """LoopNet's own order: is there enough, do the work, deduct."""
    org = SERVED["org"]
    if not await service.value(service.sql(HAS), org, user, credits):
        raise InsufficientCredits(f"Need {credits} credits")
    work()
    request = f"req_acme_{user}_{credits}"
    values = (org, user, credits, "company_enrichment", "loopnet", request, json.dumps(METADATA))
    assert await service.value(service.sql(sql), *values) is True


async def check_credit_service(service, user, whole):
    org = SERVED["org"]

    async def left():
        return await service.value(service.sql(LEFT), org, user)

    start = await left()
    assert type(start) is (int if whole else Decimal) and start == 1000, repr(start)
    await enrich(service, user, 50, lambda: None)
    await enrich(service, user, 100, lambda: None, DEDUCT.replace("{})", "{}::jsonb)"))
    assert await left() == 850
    # Repeated by a client that lost its connection: the four-argument form, and names.
    assert await service.value(service.sql("SELECT deduct_credits({}, {}, {}, {})"), org, user, 10, "contact_lookup") is True
    by_name = "SELECT deduct_credits(p_org_id := {}, p_user_id := {}, p_credits_used := {}, p_service_type := {})"
    assert await service.value(service.sql(by_name), org, user, 2, "intelligence_cache_lookup") is True
    assert await left() == 838
    await expect(InsufficientCredits, enrich(service, user, 839, lambda: None))
    too_much = service.value(service.sql(DEDUCT), org, user, 839, "bulk_export", None, None, None)
    await expect(InsufficientCredits, too_much)
    nobody = service.value(service.sql(DEDUCT), org, "stranger", 1, "bulk_export", None, None, None)
    await expect(NoAllocation, nobody)
    await expect(ZeroDivisionError, enrich(service, user, 75, lambda: 1 / 0))
    assert await left() == 838
    company = "SELECT request_metadata->>'company_id' FROM credit_usage_attribution WHERE request_id = {}"
    assert await service.value(service.sql(company), f"req_acme_{user}_50") == "acme"
    member = "SELECT 1 FROM organization_members WHERE org_id={} AND user_id={}"
    assert await service.value(service.sql(member), org, user) == 1
    if whole:
        json.dumps({"remaining": await left()})


async def expect(kind, awaitable):
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def psycopg_service(user, whole):
    options = "-c search_path=tollgate_whole,public" if whole else ""
    service = PsycopgService(psycopg.connect(SERVED["database"], options=options))
    try:
        asyncio.run(check_credit_service(service, user, whole))
    finally:
        service.close()


def asyncpg_service(user, whole):
    async def run():
        settings = {"search_path": "tollgate_whole,public"} if whole else {}
        connection = await asyncpg.connect(SERVED["database"], server_settings=settings)
        try:
            await check_credit_service(AsyncpgService(connection), user, whole)
        finally:
            await connection.close()

    asyncio.run(run())


CHECKS = {
    "a call is answered, and costs what it says": check_answer,
    "402 is raised at once": check_402,
    "403 is raised at once": check_403,
    "401 is raised at once": check_401,
    "429 is waited for": check_429,
    "503 costs nothing and is tried again": check_503,
    "a lost connection is tried again": check_gone,
    "the credit service through psycopg": lambda: psycopg_service("psycopg", False),
    "the credit service through psycopg, in whole credits": lambda: psycopg_service("psycopg-whole", True),
    "the credit service through asyncpg": lambda: asyncpg_service("asyncpg", False),
    "the credit service through asyncpg, in whole credits": lambda: asyncpg_service("asyncpg-whole", True),
}

for name, check in CHECKS.items():
    try:
        check()
        print(f"ok     {name}", flush=True)
    except Exception as error:
        print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
