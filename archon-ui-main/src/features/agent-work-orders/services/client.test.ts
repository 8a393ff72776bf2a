import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import { API, network, refusal } from "@/test/network";
import { type ApiError, call, onSignInNeeded, queryString } from "./client";

const failure = async (path: string): Promise<ApiError> => {
  try {
    await call(path);
  } catch (error) {
    return error as ApiError;
  }
  throw new Error("it did not fail");
};

test("an error keeps everything that the server said", async () => {
  network.use(
    http.get(`${API}/x`, () =>
      refusal(422, "Two fields are wrong.", { code: "invalid", fields: [{ field: "a", problem: "is wrong" }] }),
    ),
  );
  expect(await failure("/x")).toMatchObject({
    message: "Two fields are wrong.",
    status: 422,
    code: "invalid",
    nextAction: "Do this next.",
    fields: [{ field: "a", problem: "is wrong" }],
  });
});

test("an answer that is no JSON is still a sentence", async () => {
  network.use(http.get(`${API}/x`, () => new HttpResponse("<h1>Bad gateway</h1>", { status: 502 })));
  expect(await failure("/x")).toMatchObject({ status: 502, message: "The server answered 502." });
});

test("a busy server says when to come back", async () => {
  network.use(http.get(`${API}/x`, () => new HttpResponse(null, { status: 503, headers: { "Retry-After": "5" } })));
  expect((await failure("/x")).retryAfter).toBe(5);
});

test("a server that is not there is told from one that refuses", async () => {
  network.use(http.get(`${API}/x`, () => HttpResponse.error()));
  expect(await failure("/x")).toMatchObject({ status: 0, code: "unreachable" });
});

test("whoever listens learns that the server asks who this is", async () => {
  let asked = 0;
  const stop = onSignInNeeded(() => {
    asked += 1;
  });
  network.use(http.get(`${API}/x`, () => refusal(401, "Who are you?")));
  await failure("/x");
  stop();
  await failure("/x");
  expect(asked).toBe(1);
});

test("what is empty is not asked for", () => {
  expect(queryString({ status: ["failed", "running"], q: "", cursor: null, limit: 5, flag: false })).toBe(
    "?status=failed&status=running&limit=5&flag=false",
  );
  expect(queryString({})).toBe("");
});
