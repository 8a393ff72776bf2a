"""Signing in and out: the page trades the bearer token once for a cookie that no script can read. Keeps nothing."""

import time

from fastapi import APIRouter, Request, Response

from . import cookie
from .deps import Context
from .errors import error_responses
from .route import both

router = APIRouter()

# No other path of the host application is given the cookie.
PATH = "/api/awo"


@both(
    router,
    "POST",
    "/session",
    status_code=204,
    summary="Sign in",
    responses={
        204: {"description": "Signed in: the answer sets a cookie, unless the server asks for no token at all."},
        **error_responses(415),
    },
)
async def open_session(context: Context, request: Request) -> Response:
    """Trades the bearer token of this request for a same-origin cookie that scripts cannot read."""
    response = Response(status_code=204)
    token = context.guard_policy().token
    if token is not None:
        response.set_cookie(
            cookie.NAME,
            cookie.signed(token, time.time()),
            max_age=cookie.LIFETIME,
            path=PATH,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
    return response


@both(
    router,
    "DELETE",
    "/session",
    status_code=204,
    summary="Sign out",
    responses={204: {"description": "Signed out: the cookie is taken back."}, **error_responses(415)},
)
async def close_session(context: Context) -> Response:
    """Takes the cookie back from this browser."""
    response = Response(status_code=204)
    response.delete_cookie(cookie.NAME, path=PATH, httponly=True, samesite="strict")
    return response
