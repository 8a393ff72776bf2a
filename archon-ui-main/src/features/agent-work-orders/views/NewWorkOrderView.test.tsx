import { cleanup, screen, waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { beforeEach, describe, expect, test } from "vitest";
import { approvedJournal } from "@/test/journals";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import NewWorkOrderView from "./NewWorkOrderView";

const PATH = "/agent-work-orders/new";
let filed: { body: Record<string, unknown>; key: string | null }[];

const accept = http.post(`${API}/work-orders`, async ({ request }) => {
  filed.push({ body: (await request.json()) as Record<string, unknown>, key: request.headers.get("Idempotency-Key") });
  return HttpResponse.json(approvedJournal.order, { status: 202 });
});

beforeEach(() => {
  filed = [];
  network.use(accept);
});

const fill = async (user: ReturnType<typeof open>["user"], url = "https://github.com/acme/api") => {
  await user.type(screen.getByLabelText("What should be done?"), "Add a flag.");
  await user.type(screen.getByLabelText("Repository"), url);
};

describe("a new work order", () => {
  test("is filed from the keyboard, and its page opens", async () => {
    const { user } = open(<NewWorkOrderView />, PATH);
    expect(screen.getByLabelText("What should be done?")).toHaveProperty("id", document.activeElement?.id);
    await fill(user);
    await user.keyboard("{Control>}{Enter}{/Control}");
    await waitFor(() => expect(screen.getByTestId("address").textContent).toMatch(/wo-/));
    expect(filed).toEqual([
      {
        body: { user_request: "Add a flag.", repository_url: "https://github.com/acme/api" },
        key: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    ]);
  });

  test("names what is wrong before the server is asked, and goes to the first of it", async () => {
    const { user } = open(<NewWorkOrderView />, PATH);
    await fill(user, "https://github.com/acme");
    await user.click(screen.getByRole("button", { name: /File it/ }));
    expect(await screen.findByText(/one owner and one repository/)).toBeTruthy();
    await waitFor(() => expect(document.activeElement).toBe(screen.getByLabelText("Repository")));
    expect(filed).toEqual([]);
  });

  test("puts what the server says onto its fields, also onto folded ones", async () => {
    network.use(
      http.post(`${API}/work-orders`, () =>
        refusal(422, "A field is wrong.", { fields: [{ field: "base_branch", problem: "does not exist" }] }),
      ),
    );
    const { user } = open(<NewWorkOrderView />, PATH);
    await fill(user);
    await user.keyboard("{Control>}{Enter}{/Control}");
    expect(await screen.findByText("Does not exist")).toBeTruthy();
    await waitFor(() => expect(document.activeElement).toBe(screen.getByLabelText(/Base branch/)));
    expect(screen.getByLabelText<HTMLTextAreaElement>("What should be done?").value).toBe("Add a flag.");
  });

  test("sends the same key again after a lost answer, so that nothing is filed twice", async () => {
    const keys: (string | null)[] = [];
    network.use(
      http.post(`${API}/work-orders`, ({ request }) => {
        keys.push(request.headers.get("Idempotency-Key"));
        return HttpResponse.error();
      }),
    );
    const { user } = open(<NewWorkOrderView />, PATH);
    await fill(user);
    await user.keyboard("{Control>}{Enter}{/Control}");
    expect(await screen.findByText("The server cannot be reached.")).toBeTruthy();
    network.use(accept);
    await user.keyboard("{Control>}{Enter}{/Control}");
    await waitFor(() => expect(filed).toHaveLength(1));
    expect(filed[0]?.key).toBe(keys[0]);
  });

  test("remembers the choices of a repository, and never the words", async () => {
    const first = open(<NewWorkOrderView />, PATH);
    await fill(first.user);
    await first.user.click(screen.getByLabelText("before the branch is pushed"));
    await first.user.keyboard("{Control>}{Enter}{/Control}");
    await waitFor(() => expect(filed).toHaveLength(1));
    expect(filed[0]?.body.requires_approval).toEqual(["push"]);
    expect(JSON.stringify(Object.values(localStorage))).not.toContain("Add a flag.");
    cleanup();
    open(<NewWorkOrderView />, PATH);
    expect(screen.getByLabelText<HTMLInputElement>("Repository").value).toBe("https://github.com/acme/api");
    expect(screen.getByLabelText("before the branch is pushed").getAttribute("aria-checked")).toBe("true");
    expect(screen.getByLabelText<HTMLTextAreaElement>("What should be done?").value).toBe("");
  });

  test("keeps to what a step needs", async () => {
    const { user } = open(<NewWorkOrderView />, PATH);
    await user.click(await screen.findByText("All 3 steps"));
    await user.click(screen.getByLabelText(/execute/));
    expect(screen.getByText("1 of 3 steps")).toBeTruthy();
    await fill(user);
    await user.keyboard("{Control>}{Enter}{/Control}");
    await waitFor(() => expect(filed[0]?.body).toMatchObject({ selected_commands: ["planning"] }));
  });

  test("shows an issue's title as a fact", async () => {
    network.use(
      http.get(`${API}/issues`, ({ request }) => {
        const { searchParams } = new URL(request.url);
        expect(searchParams.get("repository_url")).toBe("https://github.com/acme/api");
        return HttpResponse.json({ number: 7, title: "It crashes", url: "https://github.com/acme/api/issues/7" });
      }),
    );
    const { user } = open(<NewWorkOrderView />, PATH);
    await fill(user);
    await user.type(screen.getByLabelText(/GitHub issue/), "#7");
    expect(await screen.findByText("It crashes")).toBeTruthy();
    expect(screen.getByLabelText<HTMLTextAreaElement>("What should be done?").value).toBe("Add a flag.");
  });
});
