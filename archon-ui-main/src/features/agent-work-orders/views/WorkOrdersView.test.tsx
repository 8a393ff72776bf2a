import { screen, waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import { approvedJournal } from "@/test/journals";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import { listed, matches } from "../hooks/useWorkOrders";
import type { WorkOrder } from "../types";
import WorkOrdersView from "./WorkOrdersView";

const PATH = "/agent-work-orders";
const order = (n: number, part: Partial<WorkOrder> = {}): WorkOrder => ({
  ...approvedJournal.order,
  agent_work_order_id: `wo-${n.toString(16).padStart(16, "0")}`,
  user_request: `Request ${n}`,
  ...part,
});

test("an empty list says what to do first", async () => {
  open(<WorkOrdersView />, PATH);
  expect(await screen.findByText("No work orders yet")).toBeTruthy();
  expect(screen.getByRole("link", { name: "File the first work order" }).getAttribute("href")).toBe(`${PATH}/new`);
});

test("a list that cannot be read says why, and is asked again on request", async () => {
  network.use(http.get(`${API}/work-orders`, () => refusal(503, "The database is away.")));
  const { user } = open(<WorkOrdersView />, PATH);
  expect(await screen.findByText("The database is away.")).toBeTruthy();
  network.resetHandlers();
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText("No work orders yet")).toBeTruthy();
});

test("the address carries the filter, and the server is asked for it", async () => {
  const asked: string[] = [];
  network.use(
    http.get(`${API}/work-orders`, ({ request }) => {
      asked.push(new URL(request.url).search);
      return HttpResponse.json({ work_orders: [], next_cursor: null });
    }),
  );
  const { user } = open(<WorkOrdersView />, `${PATH}?status=failed&repository=https://github.com/a/b`);
  await user.type(await screen.findByLabelText("Find in requests"), "parser");
  await waitFor(() => expect(screen.getByTestId("address").textContent).toContain("q=parser"));
  await waitFor(() =>
    expect(asked.some((search) => /status=failed.*repository_url=https.*q=parser/.test(search))).toBe(true),
  );
  await user.click(screen.getByRole("button", { name: "Clear" }));
  expect(screen.getByTestId("address").textContent).toBe(PATH);
});

test("orders that wait for a person stand on top", async () => {
  const waiting = order(1, { status: "waiting", waiting_reason: "approval", waiting_until: null });
  const parked = order(2, { status: "waiting", waiting_reason: "usage_limit", waiting_until: "2030-01-01T00:00:00Z" });
  network.use(
    http.get(`${API}/work-orders`, () => HttpResponse.json({ work_orders: [waiting, parked], next_cursor: null })),
  );
  open(<WorkOrdersView />, PATH);
  const band = await screen.findByRole("region", { name: "Orders that need you" });
  expect(band.textContent).toContain("1 needs you");
  expect(band.textContent).toContain("Request 1");
});

test("a row keeps only what it shows", () => {
  const row = listed(order(3, { user_request: "x".repeat(5000) }));
  expect(row.user_request).toHaveLength(300);
  expect(Object.keys(row)).not.toContain("input_tokens");
});

test("what belongs to a filter is known without asking", () => {
  const row = listed(order(4, { status: "failed", repository_url: "https://github.com/Acme/Api" }));
  const filter = {
    status: ["failed" as const],
    repositoryUrl: "https://github.com/acme/api.git",
    q: "request 4",
    archived: false,
  };
  expect(matches(filter, row)).toBe(true);
  expect(matches({ ...filter, q: "nothing" }, row)).toBe(false);
  expect(matches({ ...filter, status: ["running"] }, row)).toBe(false);
  expect(matches({ ...filter, archived: true }, row)).toBe(false);
  expect(matches(filter, { ...row, archived_at: "2026-01-01T00:00:00Z" })).toBe(false);
});

test("what is archived is a list of its own, and says how anything gets there", async () => {
  const asked: string[] = [];
  network.use(
    http.get(`${API}/work-orders`, ({ request }) => {
      asked.push(new URL(request.url).search);
      return HttpResponse.json({ work_orders: [], next_cursor: null });
    }),
  );
  const { user } = open(<WorkOrdersView />, PATH);
  expect(await screen.findByText("No work orders yet")).toBeTruthy();
  const toggle = screen.getByRole("button", { name: "Archived" });
  expect(toggle.getAttribute("aria-pressed")).toBe("false");
  await user.click(toggle);
  expect(await screen.findByText("Nothing in the archive")).toBeTruthy();
  expect(screen.getByTestId("address").textContent).toBe(`${PATH}?archived=1`);
  await user.click(screen.getByRole("button", { name: "Show all work orders" }));
  expect(await screen.findByText("No work orders yet")).toBeTruthy();
  expect(asked.filter((search) => search.includes("archived=true"))).toHaveLength(1);
});
