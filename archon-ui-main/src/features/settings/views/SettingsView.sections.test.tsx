import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { beforeEach, describe, expect, test } from "vitest";
import { API, network } from "@/test/network";
import { open } from "@/test/page";
import type { SettingsPage } from "../services/awoSettingsService";
import SettingsView from "./SettingsView";
import { page, secret } from "./settingsPage.fixture";

let shown: SettingsPage;

beforeEach(() => {
  shown = page("v1");
  network.use(http.get(`${API}/settings`, () => HttpResponse.json(shown)));
});

const at = (section: string) => open(<SettingsView />, `/settings?section=${section}`, "/settings");
const VALUE = "github_pat_secret_value_0123456789";

describe("secrets", () => {
  test("show that they are set, their end, and who set them", async () => {
    at("credentials");
    const row = await screen.findByRole("region", { name: "GitHub token" });
    expect(row.textContent).toMatch(/ends in …a1b2 · by Ana/);
    const locked = screen.getByRole("region", { name: "Anthropic API key" });
    expect(locked.textContent).toMatch(/Set by ANTHROPIC_API_KEY; change it there/);
    expect(within(locked).queryByRole("button")).toBeNull();
  });

  test("can be for one repository alone, which is named first", async () => {
    const saved: unknown[] = [];
    network.use(
      http.put(`${API}/settings/secrets/github_token`, async ({ request }) => {
        saved.push(new URL(request.url).searchParams.get("repository_url"), await request.json());
        return HttpResponse.json(shown.secrets[0]);
      }),
    );
    const { user } = at("credentials");
    await user.click(await screen.findByRole("button", { name: "Add a token for one repository…" }));
    const dialog = within(await screen.findByRole("dialog", { name: "Add a token for one repository" }));
    const repository = dialog.getByLabelText(/^Repository/);
    expect(document.activeElement).toBe(repository);
    await user.type(repository, "https://github.com/acme");
    await user.type(dialog.getByLabelText("GitHub token"), VALUE);
    expect(await dialog.findByText(/Must name one owner and one repository/)).toBeTruthy();
    expect(dialog.getByRole<HTMLButtonElement>("button", { name: "Save it" }).disabled).toBe(true);
    await user.type(repository, "/billing.git");
    await user.click(dialog.getByRole("button", { name: "Save it" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(saved).toEqual(["https://github.com/acme/billing", { value: VALUE }]);
  });

  test("are tested before they are saved, and stay nowhere in the page", async () => {
    const asked: unknown[] = [];
    network.use(
      http.post(`${API}/settings/test/github`, async ({ request }) => {
        asked.push(await request.json());
        return HttpResponse.json({
          subject: "github",
          ok: true,
          checks: [{ name: "token", ok: true, required: true, detail: "It is accepted.", next_action: null }],
          took_ms: 300,
          at: "2030-01-01T12:00:00Z",
          offered: true,
        });
      }),
      http.put(`${API}/settings/secrets/github_token`, async ({ request }) => {
        expect(new URL(request.url).search).toBe("");
        asked.push(await request.json());
        return HttpResponse.json(shown.secrets[0]);
      }),
    );
    const { user, client } = at("credentials");
    await user.click(await screen.findByRole("button", { name: "Replace GitHub token" }));
    const field = screen.getByLabelText<HTMLInputElement>("GitHub token", { selector: "input" });
    expect(field.type).toBe("password");
    expect(field.value).toBe("");
    await user.type(field, ` ${VALUE} `);
    await user.click(screen.getByRole("button", { name: "Test it" }));
    expect(await screen.findByText(/It is accepted\./)).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Save it" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(asked).toEqual([{ github_token: VALUE }, { value: VALUE }]);
    const kept = [
      JSON.stringify(
        client
          .getQueryCache()
          .getAll()
          .map((query) => query.state),
      ),
      JSON.stringify(
        client
          .getMutationCache()
          .getAll()
          .map((mutation) => mutation.state),
      ),
      JSON.stringify({ ...localStorage, ...sessionStorage }),
      screen.getByTestId("address").textContent,
      document.body.innerHTML,
    ];
    expect(kept.filter((place) => place?.includes(VALUE))).toEqual([]);
  });

  test("are forgotten when the dialog closes without saving", async () => {
    const { user } = at("credentials");
    await user.click(await screen.findByRole("button", { name: "Set Claude OAuth token" }));
    await user.type(screen.getByLabelText("Claude OAuth token", { selector: "input" }), VALUE);
    await user.click(screen.getByRole("button", { name: "Close" }));
    await user.click(screen.getByRole("button", { name: "Set Claude OAuth token" }));
    expect(screen.getByLabelText<HTMLInputElement>("Claude OAuth token", { selector: "input" }).value).toBe("");
  });

  test("are removed only after a question", async () => {
    let removed = 0;
    network.use(
      http.delete(`${API}/settings/secrets/github_token`, () => {
        removed += 1;
        shown = { ...shown, secrets: [secret("github_token")] };
        return HttpResponse.json(shown.secrets[0]);
      }),
    );
    const { user } = at("credentials");
    await user.click(await screen.findByRole("button", { name: "Remove GitHub token" }));
    expect(removed).toBe(0);
    await user.click(screen.getByRole("button", { name: "Remove it" }));
    expect(await screen.findByRole("button", { name: "Set GitHub token" })).toBeTruthy();
    expect(removed).toBe(1);
  });
});

test("a test tells each check and what to do about it", async () => {
  network.use(
    http.post(`${API}/settings/test/storage`, () =>
      HttpResponse.json({
        subject: "storage",
        ok: false,
        checks: [
          { name: "home", ok: false, required: true, detail: "It is full.", next_action: "Free some space." },
          { name: "archive", ok: true, required: false, detail: "It can be written.", next_action: null },
        ],
        took_ms: 120,
        at: "2030-01-01T12:00:00Z",
        offered: false,
      }),
    ),
  );
  const { user } = at("credentials");
  await user.click(await screen.findByRole("button", { name: "Test Storage" }));
  const panel = screen.getByRole("region", { name: "Test of Storage" });
  expect(await within(panel).findByText("→ Free some space.")).toBeTruthy();
  expect(within(panel).getByRole("status").textContent).toContain("Something that is needed does not work");
  expect(within(panel).getByText("fails")).toBeTruthy();
  expect(within(panel).getByText("works")).toBeTruthy();
});

test("clean-up is seen first, and done only after a question with its size", async () => {
  const asked: (string | null)[] = [];
  network.use(
    http.post(`${API}/cleanup`, ({ request }) => {
      const dry = new URL(request.url).searchParams.get("dry_run");
      asked.push(dry);
      return HttpResponse.json({
        dry_run: dry === "true",
        removed: [{ kind: "checkout", name: "wo-1", size_bytes: 2e6, used_at: "2030-01-01T12:00:00Z", reason: "old" }],
        removed_count: 1,
        freed_bytes: 2e6,
        protected: [{ kind: "checkout", name: "wo-2", size_bytes: 1e6, reason: "it is not pushed" }],
        problems: [],
        used_bytes: { checkout: 1e6, mirror: 0 },
        pressure: "none",
        took_ms: 5,
      });
    }),
  );
  const { user } = at("retention");
  await user.click(await screen.findByRole("button", { name: "Preview clean-up" }));
  expect(await screen.findByText("Would remove 1 item, 2.0 MB.")).toBeTruthy();
  expect(screen.getByText(/it is not pushed/)).toBeTruthy();
  expect(screen.getByText("Kept on the disk: checkout 1.0 MB.")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Remove 1 item, 2.0 MB…" }));
  expect(asked).toEqual(["true"]);
  await user.click(screen.getByRole("button", { name: "Remove 1 item" }));
  expect(await screen.findByText("Removed 1 item, 2.0 MB.")).toBeTruthy();
  expect(asked).toEqual(["true", "false"]);
});

test("the changes are told page by page, of secrets by name alone", async () => {
  const entry = { entry_id: 9, at: "2030-01-01T12:00:00Z", by: "Ana", old: null, new: null };
  network.use(
    http.get(`${API}/settings/audit`, ({ request }) =>
      new URL(request.url).searchParams.get("before")
        ? HttpResponse.json({
            entries: [{ ...entry, entry_id: 1, setting: "max_concurrent", action: "changed", old: "5", new: "8" }],
            next_before: null,
          })
        : HttpResponse.json({
            entries: [{ ...entry, setting: "github_token", action: "secret_saved" }],
            next_before: 9,
          }),
    ),
  );
  const { user } = at("changes");
  expect(await screen.findByText("secret saved")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Load more" }));
  expect(await screen.findByText("changed from 5 to 8")).toBeTruthy();
});
