"""What schemathesis does with each request that it makes of our OpenAPI document: a role sends it, about things that exist.

A request is kept as it was generated but for its credential, which is that of a role chosen at random (nobody is one of them), and
for the ids it names, three quarters of which become ids of things that are there: else nearly every answer would be a 404.
"""

import atexit
import collections
import json
import os
import random

import schemathesis

SETTING = json.loads(os.environ["TOLLGATE_CONTRACT"])
ROLES = SETTING["roles"]
IDS = SETTING["ids"]
SCRAP = SETTING["scrap"]
CHANCE = random.Random(SETTING["seed"])
ANSWERS = collections.defaultdict(collections.Counter)
CREDENTIALS = {"authorization", "x-api-key", "x-service-key", "cookie"}
# What would end somebody's rights for the rest of the run is tried on an organization, and on keys, that nobody needs.
ENDING = ("/suspend", "/resume", "/transfer", "/members/{user_id}", "/uc-api-keys/{key_id}")
# What would make another role of who belongs to no organization.
SELF = ("/auth/logout", "/organizations/own")


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.operation.path
    known = [role for role in sorted(ROLES) if role != "none" or not path.endswith(SELF)]
    role = CHANCE.choice(known)
    case.headers = {name: text for name, text in (case.headers or {}).items() if name.lower() not in CREDENTIALS}
    case.headers.update(ROLES[role])
    # For the checks; no route reads it.
    case.headers["X-Contract-Role"] = role
    for values in (case.path_parameters, case.query, case.body):
        if isinstance(values, dict):
            name_things(values, path)


def name_things(values, path):
    for name in values:
        ends = path.endswith(ENDING) and name in ("org_id", "key_id")
        there = SCRAP if ends and name == "org_id" else IDS.get(name)
        # Always where it ends something: schemathesis tries ids too that it read in answers.
        if there and (ends or CHANCE.random() < 0.75):
            values[name] = CHANCE.choice(there)


@schemathesis.hook
def after_call(context, case, response):
    ANSWERS[role_of(case)][response.status_code] += 1


@atexit.register
def print_answers():
    for role, statuses in sorted(ANSWERS.items()):
        print(f"{role}: " + ", ".join(f"{status} x {count}" for status, count in sorted(statuses.items())))


@schemathesis.check
def no_failure_of_ours(context, response, case):
    """501 is a stated answer: what the operator has not set up."""
    if response.status_code >= 500 and response.status_code != 501:
        raise AssertionError(f"{response.status_code} to {role_of(case)}: {response.text[:500]}")


@schemathesis.check
def credential_before_all_else(context, response, case):
    """Who has no credential learns nothing but that, whatever else is wrong with the request; who has one is never told so."""
    is_closed = bool(case.operation.definition.raw.get("security")) and case.method == case.operation.method.upper()
    if role_of(case) == "nobody":
        wrong = is_closed and response.status_code != 401
    else:
        wrong = response.status_code == 401
    if wrong:
        raise AssertionError(f"{response.status_code} to {role_of(case)}: {response.text[:500]}")


def role_of(case):
    return case.headers["X-Contract-Role"]
