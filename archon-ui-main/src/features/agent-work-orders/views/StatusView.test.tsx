import { screen, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { beforeEach, expect, test } from "vitest";
import { API, network, refusal } from "@/test/network";
import { open } from "@/test/page";
import type { Health, ServiceStatus } from "../types";
import StatusView from "./StatusView";

const PATH = "/agent-work-orders/status";

const status: ServiceStatus = {
  worker: { worker_id: "here-1", slots: 3, busy: 1, confinement: "another user" },
  queue: { pending: 4, running: 2 },
  oldest_pending_at: "2020-01-01T00:00:00Z",
  leases: [
    { agent_work_order_id: "wo-aaaaaaaaaaaaaaaa", worker_id: "here-1", expires_at: "2999-01-01T00:00:00Z" },
    { agent_work_order_id: "wo-bbbbbbbbbbbbbbbb", worker_id: "there-2", expires_at: "2020-01-01T00:00:00Z" },
  ],
  disk: {
    total_bytes: 200_000_000_000,
    free_bytes: 10_000_000_000,
    free_files: null,
    pressure: "low",
    low_bytes: 20_000_000_000,
    min_free_bytes: 2_000_000_000,
    used_bytes: { mirror: 1_400_000, checkout: 9_000_000 },
  },
  rehearsal: null,
};

const healthy: Health = {
  status: "healthy",
  checks: [{ name: "claude_cli", ok: true, required: true, detail: "It answers.", next_action: null }],
};

const answers = (part: Partial<ServiceStatus> = {}, health: Health = healthy, code = 200) =>
  network.use(
    http.get(`${API}/status`, () => HttpResponse.json({ ...status, ...part })),
    http.get(`${API}/health`, () => HttpResponse.json(health, { status: code })),
  );

beforeEach(() => answers());

test("a healthy server takes work, and its slots lead to their orders", async () => {
  open(<StatusView />, PATH);
  expect(await screen.findByText("Takes work")).toBeTruthy();
  const slots = screen.getByRole("region", { name: "Slots" });
  expect(slots.textContent).toContain("1 of 3 busy");
  expect(within(slots).getAllByText("free")).toHaveLength(2);
  expect(within(slots).getByRole("link").getAttribute("href")).toBe("/agent-work-orders/wo-aaaaaaaaaaaaaaaa");
  expect(slots.textContent).toContain("another user");
});

test("the queue is counted by state, each leading to its list, with the oldest that waits", async () => {
  open(<StatusView />, PATH);
  const queue = await screen.findByRole("region", { name: "Queue" });
  expect(within(queue).getByRole("link", { name: "pending 4" }).getAttribute("href")).toBe(
    "/agent-work-orders?status=pending",
  );
  expect(within(queue).getByRole("link", { name: "failed 0" })).toBeTruthy();
  expect(queue.textContent).toContain("The oldest that waits for a slot was filed");
});

test("a worker whose lease has ended is silent, and what becomes of its orders is said", async () => {
  open(<StatusView />, PATH);
  const workers = await screen.findByRole("region", { name: "Workers" });
  expect(workers.textContent).toContain("this server");
  expect(workers.textContent).toContain("silent: 1 order will be taken over");
});

test("the disk tells its pressure and what uses it, and leads to where room is made", async () => {
  open(<StatusView />, PATH);
  const disk = await screen.findByRole("region", { name: "Disk" });
  for (const words of ["95 % of 200 GB", "Space runs low", "Mirrors1.4 MB", "Checkouts9.0 MB"])
    expect(disk.textContent).toContain(words);
  const link = within(disk).getByRole("link", { name: "Preview clean-up" });
  expect(link.getAttribute("href")).toBe("/settings?section=retention");
});

test("a server that cannot work says what is wrong first, with the next action", async () => {
  answers(
    {},
    {
      status: "degraded",
      checks: [
        ...healthy.checks,
        { name: "github", ok: false, required: false, detail: "No token is set.", next_action: "Set one." },
        { name: "git", ok: false, required: true, detail: "It is not installed.", next_action: "Install git." },
      ],
    },
    503,
  );
  open(<StatusView />, PATH);
  expect(await screen.findByText("Cannot run work orders")).toBeTruthy();
  const [first, second] = within(screen.getByRole("list", { name: "Health checks" })).getAllByRole("listitem");
  expect(first?.textContent).toContain("Wrong: git. It is not installed.Install git.");
  expect(second?.textContent).toContain("Warning: github.");
});

test("a full disk is no failure of the server, but orders wait", async () => {
  answers({ disk: { ...status.disk, pressure: "full" } as ServiceStatus["disk"] });
  open(<StatusView />, PATH);
  expect(await screen.findByText("Orders wait: the disk is full")).toBeTruthy();
});

test("a rehearsal says so, with the request that it knows", async () => {
  answers({
    rehearsal: { repository_url: "https://sample.test/demo/app", github_api_url: "x", request: "Add a greeting." },
  });
  open(<StatusView />, PATH);
  const banner = await screen.findByRole("region", { name: "Rehearsal" });
  expect(banner.textContent).toContain("https://sample.test/demo/app");
  expect(banner.textContent).toContain("Add a greeting.");
});

test("a status that cannot be read says why, and is asked again on request", async () => {
  network.use(http.get(`${API}/status`, () => refusal(503, "The database is away.")));
  const { user } = open(<StatusView />, PATH);
  expect(await screen.findByText("The database is away.")).toBeTruthy();
  answers();
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByRole("region", { name: "Slots" })).toBeTruthy();
});
