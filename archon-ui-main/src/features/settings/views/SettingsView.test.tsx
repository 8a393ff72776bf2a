import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { beforeEach, describe, expect, test } from "vitest";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import type { SettingsPage } from "../services/awoSettingsService";
import SettingsView from "./SettingsView";
import { page } from "./settingsPage.fixture";

let saved: { changes: Record<string, unknown>; version: string | null }[];
let shown: SettingsPage;

beforeEach(() => {
  saved = [];
  shown = page("v1");
  network.use(
    http.get(`${API}/settings`, () => HttpResponse.json(shown)),
    http.patch(`${API}/settings`, async ({ request }) => {
      saved.push({
        changes: (await request.json()) as Record<string, unknown>,
        version: request.headers.get("If-Match"),
      });
      shown = page("v2", { value: 8 });
      return HttpResponse.json(shown);
    }),
  );
});

const at = (section: string) => open(<SettingsView />, `/settings?section=${section}`, "/settings");
const described = (element: HTMLElement): string =>
  (element.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "")
    .join(" ");
const retype = async (user: ReturnType<typeof open>["user"], label: RegExp, text: string) => {
  const field = await screen.findByLabelText(label);
  await user.clear(field);
  await user.type(field, text);
};

describe("settings", () => {
  test("show their source, bounds and effect as the server tells them", async () => {
    at("limits");
    const field = await screen.findByLabelText<HTMLInputElement>(/^Max concurrent/);
    expect(field.value).toBe("5");
    expect(described(field)).toMatch(/What max_concurrent is for\..*1 to 200.*database.*live.*AWO_MAX_CONCURRENT/);
  });

  test("that the environment sets are text, with the place where they can be changed", async () => {
    at("limits");
    const row = await screen.findByRole("group", { name: "Step timeout" });
    expect(row.tabIndex).toBe(0);
    expect(described(row)).toMatch(/60 seconds.*Set by AGENT_TIMEOUT; change it there\./);
    expect(within(row).queryByRole("textbox")).toBeNull();
  });

  test("out of the page's reach say so, and a secret one never shows its value", async () => {
    at("network");
    const url = await screen.findByRole("group", { name: "GitHub API URL" });
    expect(described(url)).toMatch(/set AWO_GITHUB_API_URL on the server.*agent-settings\.yaml:3/);
    expect(described(screen.getByRole("group", { name: "API token" }))).toMatch(/set, never shown/);
  });

  test("that no group knows are advanced, and what waits for a restart is told on top", async () => {
    at("advanced");
    expect((await screen.findByRole("switch", { name: /Something new/ })).getAttribute("aria-checked")).toBe("false");
    expect(screen.getByRole("combobox", { name: /Push checkpoints/ }).textContent).toContain("not set");
    expect(screen.getByText("Restart the server for: Work order dir.")).toBeTruthy();
  });

  test("are checked against the server's bounds as one types, and not sent while wrong", async () => {
    const { user } = at("limits");
    await retype(user, /^Max concurrent/, "900");
    expect(await screen.findByText("Must be at most 200")).toBeTruthy();
    const field = screen.getByLabelText(/^Max concurrent/);
    expect(field.getAttribute("aria-invalid")).toBe("true");
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(document.activeElement).toBe(field));
    expect(saved).toEqual([]);
  });

  test("are saved together, against the version that was read", async () => {
    const { user } = at("limits");
    await retype(user, /^Max concurrent/, "8");
    await user.click(screen.getByRole("tab", { name: /Advanced/ }));
    await user.click(await screen.findByRole("switch", { name: /Something new/ }));
    expect(screen.getByText("2 unsaved changes")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(screen.queryByRole("button", { name: "Save" })).toBeNull());
    expect(saved).toEqual([{ changes: { max_concurrent: 8, something_new: true }, version: '"v1"' }]);
    expect(sessionStorage.getItem("awo-settings-draft")).toBeNull();
  });

  test("are given back to the other sources by a reset", async () => {
    const { user } = at("limits");
    await user.click(await screen.findByRole("button", { name: "Reset Max concurrent" }));
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(saved.map((one) => one.changes)).toEqual([{ max_concurrent: null }]));
  });

  test("that the server refuses carry its words", async () => {
    network.use(
      http.patch(`${API}/settings`, () =>
        refusal(422, "One is wrong.", { fields: [{ field: "max_concurrent", problem: "is too many for this disk" }] }),
      ),
    );
    const { user } = at("limits");
    await retype(user, /^Max concurrent/, "8");
    await user.click(screen.getByRole("button", { name: "Save" }));
    expect(await screen.findByText("Is too many for this disk")).toBeTruthy();
    expect(screen.getByText("One is wrong.")).toBeTruthy();
    expect(screen.getByLabelText<HTMLInputElement>(/^Max concurrent/).value).toBe("8");
  });

  test("that somebody else changed meanwhile are shown beside one's own, and the person chooses", async () => {
    const versions: (string | null)[] = [];
    network.use(
      http.patch(`${API}/settings`, ({ request }) => {
        versions.push(request.headers.get("If-Match"));
        shown = page("v7", { value: 7 });
        if (versions.length > 1) return HttpResponse.json(page("v8", { value: 8 }));
        return HttpResponse.json(
          { detail: { error: "Changed.", code: "settings_changed", next_action: "Look.", fields: [] }, current: shown },
          { status: 409 },
        );
      }),
    );
    const { user } = at("limits");
    await retype(user, /^Max concurrent/, "8");
    await user.click(screen.getByRole("button", { name: "Save" }));
    expect(await screen.findByText(/now 7, yours 8/)).toBeTruthy();
    expect(screen.getByRole("button", { name: "Take theirs for Max concurrent" })).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Save mine on top" }));
    await waitFor(() => expect(versions).toEqual(['"v1"', '"v7"']));
    await waitFor(() => expect(screen.queryByText(/yours 8/)).toBeNull());
  });

  test("that are unsaved hold back links of the page, and outlive a reload", async () => {
    const { user } = open(
      <>
        <SettingsView />
        <a href="/agent-work-orders">Work orders</a>
      </>,
      "/settings?section=limits",
      "/settings",
    );
    await retype(user, /^Max concurrent/, "8");
    expect(sessionStorage.getItem("awo-settings-draft")).toContain('"max_concurrent":"8"');
    const closing = new Event("beforeunload", { cancelable: true });
    window.dispatchEvent(closing);
    expect(closing.defaultPrevented).toBe(true);
    await user.click(screen.getByRole("link", { name: "Work orders" }));
    await user.click(await screen.findByRole("button", { name: "Stay here" }));
    expect(screen.getByTestId("address").textContent).toBe("/settings?section=limits");
    await user.click(screen.getByRole("link", { name: "Work orders" }));
    await user.click(await screen.findByRole("button", { name: "Discard and leave" }));
    await waitFor(() => expect(screen.getByTestId("address").textContent).toBe("/agent-work-orders"));
    expect(sessionStorage.getItem("awo-settings-draft")).toBeNull();
  });
});
