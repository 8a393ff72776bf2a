import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { describe, expect, test } from "vitest";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import type { Repository } from "../types";
import RepositoriesView from "./RepositoriesView";

const PATH = "/agent-work-orders/repositories";

const repository = (part: Partial<Repository> = {}, options: Partial<Repository["options"]> = {}): Repository => ({
  repository_id: "github.com~acme~api",
  repository_key: "github.com/acme/api",
  repository_url: "https://github.com/acme/api",
  owner: "acme",
  name: "api",
  display_name: null,
  options: {
    trusted: false,
    lfs: false,
    submodules: false,
    partial_clone: false,
    sparse: true,
    push_checkpoints: true,
    setup_inputs: [],
    setup_timeout: 900,
    environment: {},
    files: {},
    ...options,
  },
  default_branch: "main",
  is_verified: true,
  last_verified_at: "2030-01-01T00:00:00Z",
  verification: { ok: true, at: "2030-01-01T00:00:00Z", checks: [] },
  mirror: { size_bytes: 1_400_000, last_fetched_at: "2030-01-01T00:00:00Z", orders: 3 },
  version: 4,
  changed_by: "Ana",
  created_at: "2030-01-01T00:00:00Z",
  updated_at: null,
  ...part,
});

const listing = (...repositories: Repository[]) =>
  http.get(`${API}/repositories`, () => HttpResponse.json({ repositories, next_cursor: null }));

/** One event where typing would be dozens. */
const paste = async (user: ReturnType<typeof open>["user"], field: HTMLElement, text: string) => {
  await user.click(field);
  await user.paste(text);
};

interface Sent {
  body: unknown;
  ifMatch: string | null;
}

const patches = (answer: (sent: Sent, all: Sent[]) => Response) => {
  const sent: Sent[] = [];
  network.use(
    http.patch(`${API}/repositories/:id`, async ({ request }) => {
      const one = { body: await request.json(), ifMatch: request.headers.get("If-Match") };
      sent.push(one);
      return answer(one, sent);
    }),
  );
  return sent;
};

describe("the configured repositories", () => {
  test("an empty list says what to do first", async () => {
    open(<RepositoriesView />, PATH);
    expect(await screen.findByText("No repositories configured")).toBeTruthy();
  });

  test("a list that cannot be read says why and what to do", async () => {
    network.use(http.get(`${API}/repositories`, () => refusal(503, "The database is away.")));
    open(<RepositoriesView />, PATH);
    expect(await screen.findByText("The database is away.")).toBeTruthy();
    expect(screen.getByText("Do this next.")).toBeTruthy();
  });

  test("each tells its standing, limits, mirror, orders and trust", async () => {
    network.use(listing(repository({}, { trusted: true, max_concurrent: 0, max_cost_usd: 5 })));
    open(<RepositoriesView />, PATH);
    const card = await screen.findByRole("article", { name: "acme/api" });
    for (const words of [
      "Verified",
      "paused · $5.00 an order",
      "1.4 MB, fetched",
      "3 orders",
      "trusted: its own settings",
    ])
      expect(card.textContent).toContain(words);
    expect(within(card).getByRole("link", { name: "Its orders" }).getAttribute("href")).toBe(
      "/agent-work-orders?repository=https%3A%2F%2Fgithub.com%2Facme%2Fapi",
    );
  });

  test("what a verification finds stands there with the next action", async () => {
    const found = repository({
      is_verified: false,
      verification: {
        ok: false,
        at: "2030-01-01T00:00:00Z",
        checks: [
          { name: "may_push", ok: false, required: true, detail: "The token may not push.", next_action: "Grant it." },
          { name: "reachable", ok: true, required: true, detail: "It answers.", next_action: null },
        ],
      },
    });
    network.use(
      listing(repository({ is_verified: null, last_verified_at: null, verification: null })),
      http.post(`${API}/repositories/:id/verify`, ({ params }) => {
        expect(params.id).toBe("github.com~acme~api");
        return HttpResponse.json(found);
      }),
    );
    const { user } = open(<RepositoriesView />, PATH);
    expect(await screen.findByText("Never verified")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Verify" }));
    expect(await screen.findByText("Verification failed")).toBeTruthy();
    const checks = screen.getByRole("list", { name: "Checks of acme/api" });
    expect(checks.textContent).toContain("Wrong: may push. The token may not push.");
    expect(checks.textContent).toContain("Grant it.");
    expect(checks.textContent).toContain("Good: reachable.");
  });
});

describe("adding a repository", () => {
  test("says what is wrong with the address while one types, and sends nothing before", async () => {
    network.use(listing(repository()));
    const { user } = open(<RepositoriesView />, PATH);
    await screen.findByRole("article", { name: "acme/api" });
    await user.click(screen.getByRole("button", { name: "Add" }));
    const address = screen.getByLabelText("Address");
    await paste(user, address, "https://me:secret@github.com/acme/web");
    expect(await screen.findByText(/Must not contain a user name or password/)).toBeTruthy();
    await user.clear(address);
    await paste(user, address, "https://github.com/Acme/api.git");
    expect(await screen.findByText(/Is configured already/)).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Add and verify" }));
    expect(screen.getByRole("dialog")).toBeTruthy();
  });

  test("configures it and verifies it at once", async () => {
    const bodies: unknown[] = [];
    let there: Repository[] = [];
    network.use(
      http.get(`${API}/repositories`, () => HttpResponse.json({ repositories: there, next_cursor: null })),
      http.post(`${API}/repositories`, async ({ request }) => {
        bodies.push(await request.json());
        there = [repository({ is_verified: null, last_verified_at: null, verification: null })];
        return HttpResponse.json(there[0], { status: 201 });
      }),
      http.post(`${API}/repositories/:id/verify`, () => {
        there = [repository()];
        return HttpResponse.json(there[0]);
      }),
    );
    const { user } = open(<RepositoriesView />, PATH);
    await user.click(await screen.findByRole("button", { name: "Add the first repository" }));
    await paste(user, screen.getByLabelText("Address"), "https://github.com/acme/api");
    await user.keyboard("{Enter}");
    expect(await screen.findByText("Verified")).toBeTruthy();
    expect(bodies).toEqual([{ repository_url: "https://github.com/acme/api" }]);
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  test("puts what the server says of the address onto its field", async () => {
    network.use(
      http.post(`${API}/repositories`, () =>
        refusal(422, "A field is wrong.", {
          fields: [{ field: "repository_url", problem: "is on the host gitlab.com, which is not allowed here" }],
        }),
      ),
    );
    const { user } = open(<RepositoriesView />, PATH);
    await user.click(await screen.findByRole("button", { name: "Add the first repository" }));
    await paste(user, screen.getByLabelText("Address"), "https://gitlab.com/acme/api");
    await user.keyboard("{Enter}");
    expect(await screen.findByText(/Is on the host gitlab.com/)).toBeTruthy();
    expect(screen.getByLabelText("Address").getAttribute("aria-invalid")).toBe("true");
    await user.type(screen.getByLabelText("Address"), "x");
    expect(screen.queryByRole("alert")).toBeNull();
  });
});

describe("the options of a repository", () => {
  const edit = async () => {
    const page = open(<RepositoriesView />, PATH);
    await page.user.click(await screen.findByRole("button", { name: "Options" }));
    return page;
  };

  test("only what differs is sent, with the version that was read; an emptied field gets its default", async () => {
    network.use(listing(repository({}, { model: "sonnet", max_concurrent: 2 })));
    const sent = patches(() => HttpResponse.json(repository({ version: 5 }, { max_concurrent: 3 })));
    const { user } = await edit();
    await user.clear(screen.getByLabelText(/^Model/));
    await user.clear(screen.getByLabelText(/^Orders at once/));
    await user.type(screen.getByLabelText(/^Orders at once/), "3");
    await user.click(screen.getByText("Checkout"));
    await user.click(screen.getByLabelText("Fetch submodules"));
    expect(screen.getByText("3 unsaved changes")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Save options" }));
    await waitFor(() => expect(screen.queryByRole("form")).toBeNull());
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "Options" }));
    expect(sent).toEqual([{ body: { options: { model: null, max_concurrent: 3, submodules: true } }, ifMatch: '"4"' }]);
  });

  test("names what is wrong before the server is asked, and goes there", async () => {
    network.use(listing(repository()));
    const sent = patches(() => HttpResponse.json(repository()));
    const { user } = await edit();
    await user.click(screen.getByText("Checkout"));
    await user.type(screen.getByLabelText(/^Prepared checkouts/), "40");
    await user.click(screen.getByRole("button", { name: "Save options" }));
    expect(await screen.findByText("Must be at most 16")).toBeTruthy();
    await waitFor(() => expect(document.activeElement).toBe(screen.getByLabelText(/^Prepared checkouts/)));
    expect(sent).toEqual([]);
  });

  test("a reserved variable is refused by name, and a good one is sent", async () => {
    network.use(listing(repository({}, { environment: { CI: "1" } })));
    const sent = patches(() => HttpResponse.json(repository({ version: 5 })));
    const { user } = await edit();
    await user.click(screen.getByText("Environment and files"));
    await user.click(screen.getByRole("button", { name: "Add a variable" }));
    await paste(user, screen.getByLabelText("Name of variable 2"), "GITHUB_TOKEN");
    await user.click(screen.getByRole("button", { name: "Save options" }));
    expect(await screen.findByText(/^"GITHUB_TOKEN" is reserved/)).toBeTruthy();
    await user.clear(screen.getByLabelText("Name of variable 2"));
    await user.type(screen.getByLabelText("Name of variable 2"), "LEVEL");
    await user.type(screen.getByLabelText("Value of variable 2"), "2");
    await user.click(screen.getByRole("button", { name: "Save options" }));
    await waitFor(() =>
      expect(sent.map((one) => one.body)).toEqual([{ options: { environment: { CI: "1", LEVEL: "2" } } }]),
    );
  });

  test("trust is given only after a warning and a question", async () => {
    network.use(listing(repository()));
    const sent = patches(() => HttpResponse.json(repository({ version: 5 }, { trusted: true })));
    const { user } = await edit();
    expect(screen.getByText(/can read its model key, whoever wrote them/)).toBeTruthy();
    await user.click(screen.getByLabelText("Trust this repository"));
    await user.click(await screen.findByRole("button", { name: "Leave it untrusted" }));
    expect(screen.getByLabelText("Trust this repository").getAttribute("aria-checked")).toBe("false");
    await user.click(screen.getByLabelText("Trust this repository"));
    await user.click(await screen.findByRole("button", { name: "Trust it" }));
    await user.click(screen.getByRole("button", { name: "Save options" }));
    await waitFor(() => expect(sent[0]?.body).toEqual({ options: { trusted: true } }));
  });

  test("when somebody else saved first, the edits stay on top of theirs and are saved against the newer version", async () => {
    const newer = repository({ version: 9, changed_by: "Ben" }, { model: "opus", depth: 50 });
    network.use(
      listing(repository({}, { model: "sonnet" })),
      http.get(`${API}/repositories/:id`, () => HttpResponse.json(newer)),
    );
    const sent = patches((_, all) => (all.length === 1 ? refusal(409, "Changed.") : HttpResponse.json(newer)));
    const { user } = await edit();
    await user.clear(screen.getByLabelText(/^Model/));
    await user.type(screen.getByLabelText(/^Model/), "haiku");
    await user.click(screen.getByRole("button", { name: "Save options" }));
    expect(await screen.findByText(/^Ben saved this repository first/)).toBeTruthy();
    expect(screen.getByText("Changed there: Model, Depth of history, in commits.")).toBeTruthy();
    expect(screen.getByText("Yours would replace theirs: Model.")).toBeTruthy();
    expect(screen.getByLabelText<HTMLInputElement>(/^Model/).value).toBe("haiku");
    await user.click(screen.getByRole("button", { name: "Save options" }));
    await waitFor(() => expect(sent).toHaveLength(2));
    expect(sent[1]).toEqual({ body: { options: { model: "haiku" } }, ifMatch: '"9"' });
  });

  test("what the server says of an entry lands on its group", async () => {
    network.use(listing(repository()));
    patches(() =>
      refusal(422, "A field is wrong.", {
        fields: [{ field: "options.setup_inputs.uv.lock", problem: "must be text" }],
      }),
    );
    const { user } = await edit();
    await paste(user, screen.getByLabelText(/^Set-up inputs/), "uv.lock");
    await user.click(screen.getByRole("button", { name: "Save options" }));
    expect(await screen.findByText('"uv.lock" must be text')).toBeTruthy();
    await waitFor(() => expect(document.activeElement).toBe(screen.getByLabelText(/^Set-up inputs/)));
  });
});

test("a repository is forgotten only after a question that says what stays", async () => {
  let there = [repository()];
  const versions: (string | null)[] = [];
  network.use(
    http.get(`${API}/repositories`, () => HttpResponse.json({ repositories: there, next_cursor: null })),
    http.delete(`${API}/repositories/:id`, ({ request }) => {
      versions.push(request.headers.get("If-Match"));
      there = [];
      return new HttpResponse(null, { status: 204 });
    }),
  );
  const { user } = open(<RepositoriesView />, PATH);
  await user.click(await screen.findByRole("button", { name: "Forget…" }));
  expect(screen.getByRole("alertdialog").textContent).toContain("Its work orders stay");
  await user.click(screen.getByRole("button", { name: "Forget it" }));
  expect(await screen.findByText("No repositories configured")).toBeTruthy();
  expect(versions).toEqual(['"4"']);
});
