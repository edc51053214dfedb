"""What LiteLLM's management routes answer with, by its own types: one object of JSON, members of each by name."""
import json

from litellm.proxy import _types as types
from litellm.proxy._types import SpendLogsPayload

ANSWERS = {
    "/key/generate": types.GenerateKeyResponse,
    "/key/info": types.LiteLLM_VerificationToken,
    "/user/new": types.NewUserResponse,
    "/user/info": types.LiteLLM_UserTable,
    "/team/new": types.LiteLLM_TeamTable,
    "/organization/new": types.LiteLLM_OrganizationTable,
    "/budget/new": types.LiteLLM_BudgetTable,
    "/customer/new": types.LiteLLM_EndUserTable,
}


def main():
    members = {path: sorted(kind.model_fields) for path, kind in ANSWERS.items()}
    members["/spend/logs"] = sorted(SpendLogsPayload.__annotations__)
    print(json.dumps(members))


if __name__ == "__main__":
    main()
