import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server =
  process.env.ARCHON_SERVER_URL ??
  `http://${process.env.HOST ?? "127.0.0.1"}:${process.env.ARCHON_SERVER_PORT ?? "8181"}`;

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  // The server puts a fresh nonce here with every page; its policy lets no other script or style run.
  html: { cspNonce: "__CSP_NONCE__" },
  server: {
    port: Number(process.env.ARCHON_UI_PORT ?? 3737),
    // The Host header stays as it is, so that the server's guard sees page and API under one origin.
    proxy: { "/api": { target: server }, "/health": { target: server } },
  },
  build: { target: "es2022", manifest: true, chunkSizeWarningLimit: 700 },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test/setup.ts"],
    restoreMocks: true,
    testTimeout: 15_000,
  },
});
