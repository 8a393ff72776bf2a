"""What the pretend GitHub's token may do, and how GitHub says so in headers and refusals. Knows no routes."""

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from .github_shapes import DOCUMENTATION


@dataclass(frozen=True)
class TokenRights:
    """A classic token has `scopes`, as GitHub lists them; a fine-grained one has None there, and `permissions`.

    `expires` is a time as GitHub writes it; `sso` the address where an organisation wants it to be authorised.
    """

    scopes: str | None = "repo"
    permissions: frozenset[str] = frozenset({"contents:write", "pull_requests:write", "checks:read", "issues:read"})
    expires: str | None = None
    sso: str | None = None

    def headers(self) -> dict[str, str]:
        """What every answer to this token carries."""
        found = {} if self.scopes is None else {"x-oauth-scopes": self.scopes}
        return found | ({"github-authentication-token-expiration": self.expires} if self.expires else {})

    def refusal(self, permission: str) -> Response | None:
        """The answer to a request that needs this permission; None where it is given."""
        if self.sso is not None:
            message = "Resource protected by organization SAML enforcement."
            return _refusal(403, message, {"x-github-sso": f"required; url={self.sso}"})
        if self.scopes is not None:
            if "repo" in self.scopes or permission == "metadata:read":
                return None
            return _refusal(404, "Not Found", {})
        if permission == "metadata:read" or permission in self.permissions:
            return None
        accepted = {"x-accepted-github-permissions": permission.replace(":", "=")}
        return _refusal(403, "Resource not accessible by personal access token", accepted)


def _refusal(status: int, message: str, headers: dict[str, str]) -> Response:
    body = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return JSONResponse(body, status_code=status, headers=headers)
