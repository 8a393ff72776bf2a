// Fails when a page's first load (scripts and styles, compressed) is larger than it may be.
// Takes the folder of a build; its manifest says what a page loads before it can be seen.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const LIMITS = { default: 190, "WorkOrderView.tsx": 240 };
const folder = process.argv[2] ?? "dist";
const manifest = JSON.parse(readFileSync(join(folder, ".vite/manifest.json"), "utf8"));

/** Everything that an entry loads at once: its own file, what it imports, and their styles. */
function closure(name, seen = new Set()) {
  const chunk = manifest[name];
  if (!chunk || seen.has(chunk.file)) return seen;
  seen.add(chunk.file);
  for (const style of chunk.css ?? []) seen.add(style);
  for (const other of chunk.imports ?? []) closure(other, seen);
  return seen;
}

const size = (files) =>
  [...files].reduce((sum, file) => sum + gzipSync(readFileSync(join(folder, file))).length, 0) / 1000;

let failed = false;
const pages = Object.keys(manifest).filter((name) => name.includes("/views/") && manifest[name].isDynamicEntry);
for (const page of pages) {
  const name = page.split("/").at(-1);
  const kilobytes = size(closure(page, closure("index.html")));
  const limit = LIMITS[name] ?? LIMITS.default;
  failed ||= kilobytes > limit;
  process.stdout.write(
    `${kilobytes.toFixed(1).padStart(6)} kB of ${limit}  ${name}${kilobytes > limit ? "  TOO LARGE" : ""}\n`,
  );
}
if (pages.length === 0) process.stdout.write("The build holds no page.\n");
process.exit(failed || pages.length === 0 ? 1 : 0);
