"""What an order left behind: its files, and its branch as a diff. Serves bytes; never renders or interprets them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Path, Response
from pydantic import BaseModel, Field

from ..domain.errors import NotFound
from ..domain.redaction import Redactor
from ..domain.repository import named_repository
from ..domain.work_order import Artifact
from ..ports import FileDiff
from .content import serve
from .deps import Context, OrderId
from .errors import error_responses
from .route import both

router = APIRouter()


class ArtifactList(BaseModel):
    """The files of a work order."""

    artifacts: list[Artifact] = Field(description="In the order in which they were written.")


class FileChange(BaseModel):
    """What a branch does to one file."""

    path: str = Field(description="Path in the repository.")
    old_path: str | None = Field(description="Path before a renaming, else null.")
    status: str = Field(description="`added`, `deleted`, `modified` or `renamed`.")
    additions: int = Field(description="Lines added.")
    deletions: int = Field(description="Lines deleted.")
    patch: str | None = Field(description="Unified diff; null for binary files.")


class BranchDiff(BaseModel):
    """A branch against the commit it started from."""

    base_commit: str = Field(description="Full id of the commit the work started from.")
    head_commit: str = Field(description="Full id of the last checkpoint.")
    additions: int = Field(description="Lines added in all files.")
    deletions: int = Field(description="Lines deleted in all files.")
    files: list[FileChange] = Field(description="Files that differ.")


@both(
    router,
    "GET",
    "/work-orders/{agent_work_order_id}/artifacts",
    response_model=ArtifactList,
    summary="List the files of a work order",
    responses=error_responses(404),
)
async def list_artifacts(context: Context, order_id: OrderId) -> ArtifactList:
    """Prompts, outputs and evidence, by reference."""
    await context.tools.store.get(order_id)
    return ArtifactList(artifacts=await context.tools.store.artifacts(order_id))


@both(
    router,
    "GET",
    "/work-orders/{agent_work_order_id}/artifacts/{artifact_id}",
    response_class=Response,
    summary="Read a file of a work order",
    responses={
        200: {"description": "The whole file.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
        206: {
            "description": "The range asked for.",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        **error_responses(404, 416, beside_json=False),
    },
)
async def read_artifact(
    context: Context,
    order_id: OrderId,
    artifact_id: Annotated[str, Path(description="Identifier from the list of files.")],
    wanted: Annotated[
        str | None, Header(alias="Range", description="One range of bytes, such as `bytes=0-65535`.")
    ] = None,
) -> Response:
    """The content as it was written, for download."""
    store = context.tools.store
    found = next((one for one in await store.artifacts(order_id) if one.artifact_id == artifact_id), None)
    if found is None:
        await store.get(order_id)  # says if it is the order that is missing
        raise NotFound("The work order has no such artifact.")
    folder = context.tools.work_orders_dir / order_id
    return await serve(folder, found.path, media_type=found.media_type, wanted=wanted, name=found.artifact_id)


@both(
    router,
    "GET",
    "/work-orders/{agent_work_order_id}/diff",
    response_model=BranchDiff,
    summary="Read the change a work order made",
    responses={
        200: {"content": {"text/x-diff": {"schema": {"type": "string"}}}},
        **error_responses(404),
    },
)
async def read_diff(
    context: Context,
    order_id: OrderId,
    accept: Annotated[str, Header(description="`text/x-diff` for a patch; JSON per file otherwise.")] = "*/*",
) -> Response:
    """The last checkpoint against the base; there is none before the order's checkout was opened."""
    order = await context.tools.store.get(order_id)
    diff = await context.tools.checkouts.diff(order, named_repository(order.repository_url))
    files = await to_thread.run_sync(_masked, diff.files, context.tools.redactor)
    if "text/x-diff" in accept.lower():
        text = "".join(_patch(file) for file in files)
        return Response(text.encode("utf-8", "replace"), media_type="text/x-diff", headers={"Vary": "Accept"})
    changes = BranchDiff(
        base_commit=diff.base_commit,
        head_commit=diff.head_commit,
        additions=sum(file.additions for file in files),
        deletions=sum(file.deletions for file in files),
        files=[FileChange(**vars(file)) for file in files],
    )
    return Response(changes.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})


def _masked(files: Iterable[FileDiff], redactor: Redactor) -> list[FileDiff]:
    """An agent can write down the key it works with: such a change is never pushed, and read without the key."""

    def masked(text: str | None) -> str | None:
        return None if text is None else redactor.redact(text)

    return [
        replace(file, path=redactor.redact(file.path), old_path=masked(file.old_path), patch=masked(file.patch))
        for file in files
    ]


def _patch(file: FileDiff) -> str:
    """One file of a patch as git prints it, whether its header is there already or not."""
    old, new = file.old_path or file.path, file.path
    if file.patch is not None and file.patch.startswith("diff --git "):
        return file.patch.rstrip("\n") + "\n"
    lines = [f"diff --git a/{old} b/{new}"]
    if file.status == "renamed":
        lines += [f"rename from {old}", f"rename to {new}"]
    if file.patch is None:
        lines.append(f"Binary files a/{old} and b/{new} differ")
    elif file.patch:
        before = "/dev/null" if file.status == "added" else f"a/{old}"
        after = "/dev/null" if file.status == "deleted" else f"b/{new}"
        lines += [
            *([] if file.patch.startswith("--- ") else [f"--- {before}", f"+++ {after}"]),
            file.patch.rstrip("\n"),
        ]
    return "\n".join(lines) + "\n"
