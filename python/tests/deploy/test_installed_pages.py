"""Our pages inside Archon's: they compile by its rules, build beside its styles, and do there what they do here."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import archon_v1

ROOT = Path(__file__).parents[3]
OURS = ROOT / "archon-ui-main"
PROGRAMS = OURS / "node_modules" / ".bin"
# Tests of ours that are run there: reading, writing, Archon's toasts, our dialogs.
CHOSEN = (
    "features/agent-work-orders/services/client.test.ts",
    "features/agent-work-orders/views/WorkOrdersView.test.tsx",
    "features/settings/views/SettingsView.test.tsx",
)
# What those tests ask of the application around them, from Archon's own parts.
AROUND = {
    "features/shared/queryClient.ts": 'export { makeQueryClient } from "./config/queryClient";\n',
    "features/ui/primitives/index.ts": (
        'export { TooltipProvider } from "@radix-ui/react-tooltip";\n'
        'export { ToastProvider } from "@/features/agent-work-orders/archon/testing";\n'
    ),
    "features/agent-work-orders/archon/testing.tsx": (
        'import type { ReactNode } from "react";\n'
        'import { ToastProvider as Archons } from "@/features/ui/components/ToastProvider";\n'
        'import { ToastProvider as Ours } from "./toast";\n\n'
        "export const ToastProvider = ({ children }: { children: ReactNode }) => (\n"
        "  <Archons>\n    <Ours>{children}</Ours>\n  </Archons>\n);\n"
    ),
    "features/agent-work-orders/archon/mounted.test.tsx": """\
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import { App } from "@/App";
import { API, network } from "@/test/network";

test("Archon's navigation leads to our pages, and its settings hold ours", async () => {
  network.use(http.get(`${API}/settings`, () => HttpResponse.json({ detail: "off" }, { status: 503 })));
  const user = userEvent.setup();
  render(<App />);
  await user.click(screen.getByRole("link", { name: "Agent Work Orders" }));
  expect(await screen.findByRole("heading", { level: 1, name: "Work orders" }, { timeout: 10_000 })).toBeTruthy();
  await user.click(screen.getByRole("link", { name: "Status" }));
  expect(await screen.findByRole("heading", { level: 1, name: "Status" }, { timeout: 10_000 })).toBeTruthy();
  expect(document.querySelector("#awo-portals")).toBeTruthy();
  await user.click(screen.getByRole("link", { name: "Settings" }));
  await user.click(await screen.findByText("Agent Work Orders", { selector: "summary" }, { timeout: 10_000 }));
  expect(await screen.findByRole("alert", {}, { timeout: 10_000 })).toBeTruthy();
});
""",
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the stand-in after `make install-into`."""
    if not PROGRAMS.is_dir():
        pytest.skip("the pages' packages are not installed: run `make ui-packages`")
    checkout = archon_v1.build(tmp_path_factory.mktemp("public") / "archon", "\r\n")
    script = ROOT / "scripts" / "install_into.py"
    subprocess.run([sys.executable, str(script), str(checkout)], check=True, capture_output=True, timeout=120)
    ui = checkout / "archon-ui-main"
    (ui / "node_modules").symlink_to(OURS / "node_modules")
    return ui


def run(pages: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [PROGRAMS / program, *arguments],
        cwd=pages,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def parts(selector: str) -> list[str]:
    """A list of selectors at its commas, those within brackets left alone."""
    found, depth = [""], 0
    for character in selector:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [" ".join(one.split()) for one in found]


@pytest.mark.timeout(300)
def test_they_compile_by_the_public_rules(pages: Path) -> None:
    run(pages, "tsc", "--noEmit")


@pytest.mark.timeout(300)
def test_they_build_and_no_rule_of_theirs_reaches_archons_own_pages(pages: Path) -> None:
    run(pages, "vite", "build", "--logLevel", "warn", "--minify", "false")
    built = {path.name: path.read_text(encoding="utf-8") for path in (pages / "dist/assets").glob("*.css")}
    [ours] = [text for text in built.values() if ".awo" in text]
    # Tailwind's own start values of its variables are the same for everybody.
    ours = re.sub(r"@layer properties \{.*?^\}$", "", ours, flags=re.MULTILINE | re.DOTALL)
    ours = re.sub(r"@keyframes[^{]*\{(?:[^{}]|\{[^}]*\})*\}", "", ours)
    selectors: list[str] = re.findall(r"^\s*([^\s@{};/][^{};]*?)\s*\{", ours, re.MULTILINE)
    reaching = [
        one
        for selector in selectors
        for one in parts(selector)
        if not re.match(r"(:where\()?(\.dark )?\.awo\b|#awo-", one)
    ]
    assert len(selectors) > 200
    assert not reaching, reaching
    assert "@layer theme" not in ours, "a variable of Archon's theme would get our value"


@pytest.mark.timeout(300)
def test_their_tests_pass_there(pages: Path) -> None:
    shutil.copytree(OURS / "src" / "test", pages / "src" / "test")
    for name in CHOSEN:
        (pages / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(OURS / "src" / name, pages / "src" / name)
    for name in ("settingsPage.fixture.ts", "SettingsView.tsx"):
        shutil.copy(OURS / "src/features/settings/views" / name, pages / "src/features/settings/views" / name)
    for name, text in AROUND.items():
        (pages / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (pages / "src" / name).write_text(text, encoding="utf-8")
    (pages / "vitest.config.ts").write_text(
        'import { mergeConfig } from "vite";\nimport config from "./vite.config";\n\n'
        "export default mergeConfig(config, { test: { environment: 'jsdom', setupFiles: ['src/test/setup.ts'], "
        "include: ['src/**/*.test.{ts,tsx}'], testTimeout: 30000, css: false } });\n"
    )
    said = run(pages, "vitest", "run", "--reporter", "dot")
    assert re.search(r"Test Files +4 passed", said), said
